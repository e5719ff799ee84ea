"""Waiting for initial syncs on the command line, and saying how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from portal.environments.queries import heard_within
from portal.management.results import Console
from portal.maps.models import MapState, TableMap
from portal.runs.figures import RunFigures, figures, runs_of
from portal.runs.models import RunState

POLL_SECONDS = 0.1
HINT_SECONDS = 15.0
SPEED_SECONDS = 1.0
"""How often speed and time left are told anew; the rest is told when it changes."""

ON_THE_WAY = (MapState.INITIALIZING, MapState.RESUMING)


def follow(
    maps: Sequence[TableMap], correlation_id: str, console: Console
) -> list[RunFigures]:
    """Wait until the runs that one action started have ended and its maps are no more
    on their way; gives the runs. The maps get their present states."""
    ids = [table_map.pk for table_map in maps]
    teller = _Teller(console)
    while True:
        present = {m.pk: m for m in TableMap.objects.filter(pk__in=ids)}
        runs = figures(
            runs_of(ids).filter(correlation_id=correlation_id).order_by("id")
        )
        teller.tell(list(present.values()), runs)
        waiting = [m for m in present.values() if m.state in ON_THE_WAY]
        if not waiting and not any(one.active for one in runs):
            break
        time.sleep(POLL_SECONDS)
    for table_map in maps:
        table_map.state = present[table_map.pk].state
    return runs


def complaints(runs: Sequence[RunFigures], name: Callable[[int], str]) -> list[str]:
    """What must be said of runs that did not bring everything over."""
    return [
        f"{name(one.run.table_map_id)}: {one.failed} of {one.exported} records failed."
        if one.failed
        else f"{name(one.run.table_map_id)}: the initial sync {one.run.state}. "
        f"{one.run.message}".rstrip()
        for one in runs
        if one.failed or one.run.state != RunState.COMPLETED
    ]


def how_far(one: RunFigures) -> str:
    """Rows, speed and time left of a run."""
    text = f"{one.exported:,} of {one.total:,} rows"
    if one.failed:
        text += f", {one.failed:,} failed"
    if one.rows_per_second and one.active:
        text += f", {one.rows_per_second:,.0f} rows/s"
    if one.seconds_left:
        text += f", {one.seconds_left:,.0f} s left"
    return text


class _Teller:
    """Tells, map by map, what changed since it last told; and that nobody works."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, str] = {}
        self._told_at: dict[str, float] = {}
        self._silent_since = time.monotonic()

    def tell(self, maps: Sequence[TableMap], runs: Sequence[RunFigures]) -> None:
        """Say what is new."""
        by_map = {one.run.table_map_id: one for one in runs}
        for table_map in maps:
            found = by_map.get(table_map.pk)
            line = f"{table_map.name}: {table_map.get_state_display()}"
            if found is not None and found.active:
                who = f" {found.run.companies}" if found.run.joins else ""
                line += f" ({found.run.get_state_display().lower()}{who}"
                rows = f"{found.exported} {found.total}"
                self._say(
                    table_map.name, f"{line} {rows}", f"{line}, {how_far(found)})"
                )
            else:
                self._say(table_map.name, line, line)
        if time.monotonic() - self._silent_since > HINT_SECONDS and not (
            heard_within([m.connection_set_id for m in maps], HINT_SECONDS)
        ):
            self._console.progress(
                "No worker has been heard of: make sure that a worker and beat are "
                "running. Still waiting."
            )

    def _say(self, name: str, state: str, line: str) -> None:
        if self._told.get(name) == state:
            return
        now = time.monotonic()
        old, new = self._told.get(name, "").split("(")[0], state.split("(")[0]
        if old == new and now - self._told_at.get(name, 0.0) < SPEED_SECONDS:
            return
        self._told[name] = state
        self._told_at[name] = self._silent_since = now
        self._console.progress(line)
