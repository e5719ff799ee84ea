"""Which ways the map carries changes."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import Direction, HealthFinding, Severity


@check
def sends_something_out(subject: Subject) -> Iterator[HealthFinding]:
    """500: no column flows from FinOps to Dataverse."""
    definition = subject.definition
    if definition.flows(Direction.FINOPS_TO_DATAVERSE) or not definition.columns:
        return
    meant = subject.member.as_published
    yield HealthFinding(
        "500",
        Severity.INFO if meant else Severity.WARNING,
        f"No column flows from {definition.finops_table} to "
        f"{definition.dataverse_table}: changes in FinOps are not carried over"
        f"{', as in the ready-made map' if meant else ''}.",
        definition.finops_table,
        "" if meant else "Check the directions of the columns.",
    )
