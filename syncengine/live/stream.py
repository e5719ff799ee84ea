"""One direction of a connection set, kept going through outages (architecture
section 6)."""

from __future__ import annotations

import gc
import time
from contextlib import ExitStack

from syncengine.connectors.base import Connector
from syncengine.errors import EngineError, OutageError, SetupError, TransientError
from syncengine.live.agreeing import Memory
from syncengine.live.large import Stopped
from syncengine.live.outages import Outage, TargetOutage
from syncengine.live.session import Session
from syncengine.live.settings import LiveSettings, Stop, pause
from syncengine.live.spooling import SpoolSession
from syncengine.live.workbench import Workbench
from syncengine.ports import Control, Journal, StreamReport

COLLECT_AFTER = 100_000
"""Allocations between two runs of the garbage collector. Batches hold many small
tuples and no cycles: the default of 700 costs a quarter of a busy stream's time."""


class LiveStream:
    """One direction's live sync of a connection set, run by exactly one worker."""

    def __init__(
        self,
        link: str,
        source: Connector,
        target: Connector,
        journal: Journal,
        control: Control,
        settings: LiveSettings | None = None,
    ) -> None:
        self._link = link
        self._source = source
        self._target = target
        self._journal = journal
        self._control = control
        self._settings = settings or LiveSettings()
        self._position = ""
        self._outage = Outage(control)
        self._memory = Memory()

    def run(self, stop: Stop) -> None:
        """Run until `stop()` is true. Outages are waited out with a growing delay.

        Raises EngineError only where this worker must give the stream up (another one
        has taken it over); failures of the journal itself pass through.
        """
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 50, 100)
        delay = self._settings.first_delay
        while not stop():
            started = time.monotonic()
            try:
                if self._outage.spool_due(self._waiting_bytes()):
                    self._spool(stop)
                else:
                    self._session(stop)
            except Stopped:
                return
            except (OutageError, TransientError, SetupError) as error:
                if time.monotonic() - started > 10 * self._settings.longest_delay:
                    delay = self._settings.first_delay
                if isinstance(error, TargetOutage):
                    self._outage.note(error)
                    self._report_trouble(error.cause)
                else:
                    self._report_trouble(error)
                pause(delay, stop)
                delay = min(delay * 2, self._settings.longest_delay)

    def _session(self, stop: Stop) -> None:
        with ExitStack() as stack:
            bench = Workbench(
                self._link,
                self._source,
                self._target,
                self._journal,
                self._control,
                self._settings,
                stack,
                self._outage,
                self._memory,
            )
            try:
                Session(bench).run(stop)
            finally:
                self._position = bench.position

    def _spool(self, stop: Stop) -> None:
        with ExitStack() as stack:
            session = SpoolSession(
                self._link,
                self._source,
                self._target,
                self._journal,
                self._control,
                self._settings,
                stack,
            )
            answered = session.run(stop, self._outage.reason)
            self._outage.spooled(answered=answered)

    def _waiting_bytes(self) -> int | None:
        """The source's log that waits, during an outage of the target."""
        if not self._outage.present:
            return None
        held = self._source.held_log(self._link)
        return held.unconfirmed_bytes if held is not None else None

    def _report_trouble(self, error: EngineError) -> None:
        self._journal.report(
            StreamReport(
                state="down" if isinstance(error, SetupError) else "retrying",
                position=self._position,
                lag_seconds=None,
                lag_bytes=None,
                message=error.message,
            )
        )
