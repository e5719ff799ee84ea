"""Source columns that the system computes."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.compiler import CompilationError, compile_leg
from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Severity
from syncengine.mapping.paths import column_of


@check
def reads_stored_columns(subject: Subject) -> Iterator[HealthFinding]:
    """1300: a mapped or filtered source column is computed from other columns."""
    for direction in subject.directions:
        try:
            leg = compile_leg(
                subject.definition,
                direction,
                subject.schemas[direction.source],
                subject.schemas[direction.target],
                subject.legal_entities,
            )
        except CompilationError:
            continue
        for name in dict.fromkeys(map(column_of, leg.source_paths)):
            column = leg.source.column(name)
            if column is None or not column.computed:
                continue
            yield HealthFinding(
                "1300",
                Severity.WARNING,
                f"{column.name} of {leg.source.name} is computed by the system: it "
                "travels with the changes of its record, but a new formula alone "
                "carries nothing over.",
                column.name,
                "Map a stored column; or run the initial sync again after the formula "
                "was changed.",
            )
