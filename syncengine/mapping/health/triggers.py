"""What the target does by itself at each write."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Severity


@check
def is_written_undisturbed(subject: Subject) -> Iterator[HealthFinding]:
    """5000: the target table has triggers that run for each row."""
    for direction in subject.directions:
        table = subject.table(direction.target)
        if table is None or not table.triggers:
            continue
        many = len(table.triggers) > 1
        names = ", ".join(table.triggers)
        yield HealthFinding(
            "5000",
            Severity.WARNING,
            f"{'Triggers run' if many else 'A trigger runs'} for each row written to "
            f"{table.name}: {names}. {'They slow' if many else 'It slows'} every "
            f"write, and what {'they change' if many else 'it changes'} does not "
            "travel back.",
            table.name,
            "Where it costs too much, disable it during the initial sync or let it run "
            "once per statement.",
        )
