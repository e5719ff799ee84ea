"""Source columns that the system computes."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping import filters
from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject, filter_of
from syncengine.mapping.model import Direction, HealthFinding, Severity


@check
def reads_stored_columns(subject: Subject) -> Iterator[HealthFinding]:
    """1300: a mapped or filtered source column is computed from other columns."""
    for direction in subject.directions:
        table = subject.table(direction.source)
        for name in dict.fromkeys(_read(subject, direction)):
            column = table.column(name) if table else None
            if table is None or column is None or not column.computed:
                continue
            yield HealthFinding(
                "1300",
                Severity.WARNING,
                f"{column.name} of {table.name} is computed by the system, whose log "
                "does not carry it: it is computed anew with each change of its "
                "record, and a new formula alone changes nothing on the other side.",
                column.name,
                "Map a stored column; or run the initial sync again after the formula "
                "was changed.",
            )


def _read(subject: Subject, direction: Direction) -> Iterator[str]:
    for column_map in subject.lines(direction):
        if path := column_map.on(direction.source):
            yield path.partition(".")[0]
    if expression := filter_of(subject.definition, direction.source):
        yield from filters.columns(expression)
