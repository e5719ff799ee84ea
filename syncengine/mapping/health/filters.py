"""What the filters let through, in both directions."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import Direction, HealthFinding, Severity


@check
def sends_every_row(subject: Subject) -> Iterator[HealthFinding]:
    """1600: the FinOps filter limits what goes out."""
    definition = subject.definition
    if not definition.finops_filter.strip():
        return
    if Direction.FINOPS_TO_DATAVERSE in subject.directions:
        yield HealthFinding(
            "1600",
            Severity.INFO,
            f"Only records of {definition.finops_table} that match the filter are "
            f"carried over: {definition.finops_filter.strip()}",
            definition.finops_table,
            "Where a record is missing in Dataverse, compare it with the filter.",
        )


@check
def takes_only_rows_of_the_filter(subject: Subject) -> Iterator[HealthFinding]:
    """1800: the FinOps filter does not hold back what comes in."""
    definition = subject.definition
    if not definition.finops_filter.strip():
        return
    if Direction.DATAVERSE_TO_FINOPS not in subject.directions:
        return
    meant = subject.member.as_published or bool(definition.dataverse_filter.strip())
    yield HealthFinding(
        "1800",
        Severity.INFO if meant else Severity.WARNING,
        f"A record that comes from Dataverse is written to {definition.finops_table} "
        "even where its row there lies outside the filter: "
        f"{definition.finops_filter.strip()}",
        definition.finops_table,
        "Filter the Dataverse rows too, so that they are the same records; try an "
        "update of a row outside the filter before going live.",
    )
