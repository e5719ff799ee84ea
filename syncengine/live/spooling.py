"""Spooling: while the target does not answer, changes go into the journal, so that the
source need not keep its log for us (architecture section 6, ADR 9).

The stream is read from where the source remembers: what had been sent to the target
since may be lost there in a crash. What it has all the same is forgotten when it is
back (`Control.unspool`), before anything else is written to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncengine.connectors.base import Connector, Transaction
from syncengine.live.configuring import Configuration, Configurator
from syncengine.live.due import Due
from syncengine.live.gaps import Gaps
from syncengine.live.large import portions
from syncengine.live.legs import LookupCache
from syncengine.live.open_errors import OpenErrors
from syncengine.live.outages import Probe
from syncengine.live.receiving import Receiver
from syncengine.live.remembering import Remembered
from syncengine.live.routing import Routed, Router
from syncengine.live.watching import Watcher
from syncengine.ports import Control, Journal, LegMode, StreamReport

if TYPE_CHECKING:
    from syncengine.live.settings import LiveSettings, Stop


class SpoolSession:
    """Reads the source into the journal until the target answers again."""

    def __init__(
        self,
        link: str,
        source: Connector,
        target: Connector,
        journal: Journal,
        control: Control,
        settings: LiveSettings,
        stack: ExitStack,
    ) -> None:
        self._journal = journal
        self._control = control
        self._settings = settings
        self._reason = ""
        self._gaps = Gaps(link, source, journal, control)
        self._gaps.mend("")
        reader = stack.enter_context(source.reader())
        self._receiver = Receiver(
            source.open_stream(link, None),
            settings.batch_changes,
            settings.batch_bytes,
        )
        stack.callback(self._receiver.close)
        cache = LookupCache()
        self._configurator = Configurator(
            source, Remembered(target.settings, journal), cache, journal
        )
        self._router = Router(reader, cache, OpenErrors(journal))
        self._configuration = Configuration.empty()
        self._watcher = Watcher(source, target, link, settings.check_every)
        stack.callback(self._watcher.close)
        self._probe = Probe(target, link, settings.probe_every)
        stack.callback(self._probe.close)
        self._due = Due()
        self._lag_seconds = 0.0

    def run(self, stop: Stop, reason: str) -> bool:
        """Spool until told to stop, the log is beyond its limit, or the target answers:
        then true. Raises OutageError of the source; what the journal raises passes
        through."""
        self._reason = reason
        self._control.spool(reason)
        while not (stop() or self._probe.answered.is_set()):
            self._configure()
            for batch in _batches(self._receiver.take(self._settings.wait)):
                routed = self._router.route(batch)
                self.keep(routed)
                oldest = batch[0].committed_at
                self._lag_seconds = (datetime.now(UTC) - oldest).total_seconds()
                if stop():
                    return False
            self._confirm()
            self._report()
            if self._log_beyond_limit():
                return False
        return self._probe.answered.is_set()

    def _log_beyond_limit(self) -> bool:
        return self._due.now("log", self._settings.check_every) and (
            self._watcher.log_lost.is_set()
            or self._gaps.beyond_limit(self._watcher.lag_bytes)
        )

    def keep(self, routed: Sequence[Routed]) -> None:
        """Put what was received into the journal."""
        queued = [entry for one in routed for entry in one.queued]
        if queued:
            self._journal.enqueue(queued)
            self._configuration.note_queued(queued)
        truncated = sorted({name for one in routed for name in one.truncated})
        if truncated:
            self._control.truncated(truncated)

    def _configure(self) -> None:
        if not self._due.now("configuration", self._settings.configuration_every):
            return
        if self._control.revision() == self._configuration.revision:
            return
        wanted = self._control.configuration()
        if any(leg.mode is LegMode.LIVE for leg in wanted.legs):
            self._control.spool(self._reason)
            wanted = self._control.configuration()
        self._configuration = self._configurator.configure(wanted, self._configuration)
        self._router.use(self._configuration.by_table)
        self._control.acknowledge(
            self._configuration.revision, self._receiver.seen_position
        )

    def _confirm(self) -> None:
        seen = self._receiver.seen_position
        if seen > self._control.confirmed():
            if not self._due.now("confirm", self._settings.flush_every):
                return
            self._control.confirming(seen)
        self._receiver.confirm(seen)

    def _report(self) -> None:
        if not self._due.now("report", self._settings.report_every):
            return
        self._journal.report(
            StreamReport(
                state="spooling",
                position=self._receiver.seen_position,
                lag_seconds=self._lag_seconds,
                lag_bytes=self._watcher.lag_bytes,
                retained_bytes=self._watcher.retained_bytes,
                message=self._reason,
            )
        )


def _batches(transactions: Sequence[Transaction]) -> Iterator[list[Transaction]]:
    """Small transactions together, large ones in portions that sort between the
    transaction before them and themselves, whatever the stream began with."""
    small: list[Transaction] = []
    for one in transactions:
        if not one.large:
            small.append(one)
            continue
        if small:
            yield small
            small = []
        for number, portion in enumerate(portions(one), start=1):
            portion.position = _within(one.position, number)
            yield [portion]
    if small:
        yield small


def _within(position: str, number: int) -> str:
    """A position just before `position`, after all that are smaller."""
    return f"{position[:-1]}{chr(ord(position[-1]) - 1)}~#{number:010d}"
