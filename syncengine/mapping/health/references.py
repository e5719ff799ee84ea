"""Whether the rows that lookups need are carried over too."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.analysis import analyse
from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import Direction, HealthFinding, Severity, Side


@check
def finds_its_references(subject: Subject) -> Iterator[HealthFinding]:
    """VMAP104: no running map fills the table that a lookup leads to."""
    for direction in subject.directions:
        for path, table in _lookups(subject, direction):
            finding = _unfilled(subject, direction, path, table)
            if finding is not None:
                yield finding


def _lookups(subject: Subject, direction: Direction) -> Iterator[tuple[str, str]]:
    """Each path written by lookup with the tables it leads to, in lower case; a table
    of the map's own rows needs no other map."""
    own = subject.definition.table(direction.target).casefold()
    analysis = analyse(
        subject.definition,
        direction,
        subject.schemas[direction.source],
        subject.schemas[direction.target],
    )
    for column in analysis.columns:
        lookup = column.endpoint.lookup
        for table in lookup.tables if lookup else ():
            if lookup and table.casefold() != own:
                yield lookup.path, table.casefold()


def _unfilled(
    subject: Subject, direction: Direction, path: str, table: str
) -> HealthFinding | None:
    side = direction.target
    fillers = [
        other
        for other in subject.others
        if other.definition.table(side).casefold() == table
        and other.definition.flows(direction)
    ]
    if any(filler.active for filler in fillers):
        return None
    severity = Severity.WARNING
    ready_made = subject.ready_made.get(table, "") if side is Side.DATAVERSE else ""
    if fillers:
        names = " or ".join(sorted(filler.definition.name for filler in fillers))
        why, cure = f"{names}, which fills it, is not running", f"Run {names} first."
    elif ready_made:
        why = "no map of the connection set fills it"
        cure = f"Install the ready-made map {ready_made} and run it first."
    else:
        why = "no map of the connection set fills it"
        cure = f"Make sure that {table} has its rows, or map it and run that map first."
        if subject.member.published is not None:
            severity = Severity.INFO
    return HealthFinding(
        "VMAP104",
        severity,
        f"{path} is looked up in {table}, and {why}: records whose reference is not "
        "found there wait as errors.",
        path,
        cure,
    )
