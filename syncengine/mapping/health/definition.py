"""Whether the map fits the tables of both sides: all that the compiler finds."""

from __future__ import annotations

from collections.abc import Iterable

from syncengine.mapping import compiler
from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Side


@check
def fits_its_tables(subject: Subject) -> Iterable[HealthFinding]:
    """Columns, keys, types, filters and companies, in both directions."""
    return compiler.validate(
        subject.definition,
        subject.schemas[Side.FINOPS],
        subject.schemas[Side.DATAVERSE],
        subject.legal_entities,
    )
