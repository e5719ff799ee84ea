"""Looks after the tables of a stream beside its work, never in its way.

Reading both catalogs takes tens of milliseconds: done between two batches, everybody
whose change comes just then would wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncengine.connectors.base import Connector
from syncengine.errors import EngineError
from syncengine.mapping.schema import TableSchema


@dataclass(frozen=True)
class Watched:
    """What to look at: the tables of each side as the legs were compiled on them, and
    those captured on the source. `incomplete` when a leg waits for its tables."""

    source: Mapping[str, TableSchema]
    target: Mapping[str, TableSchema]
    captured: Sequence[str]
    incomplete: bool = False


class Watcher:
    """A thread with connections of its own that looks every few seconds.

    `tables_changed` and `capture_incomplete` stay set until the stream has dealt with
    them and clears them; `lag_bytes` is the last known size of the source's log that
    waits for this stream, `retained_bytes` what it keeps on disk for it, and
    `log_lost` is set once it keeps none (any more).
    """

    def __init__(
        self, source: Connector, target: Connector, link: str, every_seconds: float
    ) -> None:
        self._source = source
        self._target = target
        self._link = link
        self._every = every_seconds
        self._watched = Watched({}, {}, ())
        self._end = threading.Event()
        self.tables_changed = threading.Event()
        self.capture_incomplete = threading.Event()
        self.log_lost = threading.Event()
        self.lag_bytes: int | None = None
        self.retained_bytes: int | None = None
        self._thread = threading.Thread(
            target=self._run, name="dualwrite watcher", daemon=True
        )
        self._thread.start()

    def watch(self, watched: Watched) -> None:
        """Look at these from now on."""
        self._watched = watched

    def close(self) -> None:
        """End the thread; one that waits for a dead host is left to itself."""
        self._end.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._end.wait(self._every):
            try:
                self._look()
            except EngineError:
                continue  # an outage shows in the stream itself; look again later

    def _look(self) -> None:
        watched = self._watched
        held = self._source.held_log(self._link)
        self.lag_bytes = held.unconfirmed_bytes if held is not None else None
        self.retained_bytes = held.retained_bytes if held is not None else None
        if held is None or held.lost:
            self.log_lost.set()
        if watched.incomplete or any(
            _differ(connector, tables)
            for connector, tables in (
                (self._source, watched.source),
                (self._target, watched.target),
            )
        ):
            self.tables_changed.set()
        if watched.captured and self._incomplete(watched.captured):
            self.capture_incomplete.set()

    def _incomplete(self, tables: Sequence[str]) -> bool:
        return bool(self._source.plan_install(self._link, tables).statements)


def _differ(connector: Connector, tables: Mapping[str, TableSchema]) -> bool:
    if not tables:
        return False
    present = connector.tables(list(tables))
    return any(present.tables.get(name) != table for name, table in tables.items())
