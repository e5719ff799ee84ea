"""Carries received transactions over: routes and applies them, through transient
failures and short outages of the target."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from syncengine.connectors.base import Transaction
from syncengine.errors import EngineError, OutageError, TransientError
from syncengine.live.drifting import TablesChanged
from syncengine.live.large import SourceLost, Stopped
from syncengine.live.outages import TargetOutage
from syncengine.live.reporting import Reporter
from syncengine.live.routing import Routed
from syncengine.live.settings import Stop, pause
from syncengine.live.workbench import Workbench


class Processor:
    """Applies what one session receives."""

    def __init__(self, bench: Workbench, reporter: Reporter) -> None:
        self._bench = bench
        self._reporter = reporter

    def process(self, transactions: Sequence[Transaction], stop: Stop) -> None:
        """Apply what was received; large transactions each by themselves."""
        for large, group in groupby(transactions, lambda one: one.large):
            for batch in ([one] for one in group) if large else (list(group),):
                self._process_batch(batch, stop)

    def _process_batch(self, batch: Sequence[Transaction], stop: Stop) -> None:
        """Apply a batch, through transient failures and short outages of the target."""
        bench = self._bench
        pending = list(batch)
        while pending:
            try:
                if not self._carry(pending, stop):
                    continue
                bench.outage.over()
                return
            except TablesChanged:
                bench.take_tables_in()
                stored = bench.writer.position() or ""
            except SourceLost as lost:
                # An outage of the source ends the session: its connections are made
                # anew.
                if not bench.lacks_what_changed(lost.error):
                    raise lost.error from lost
                stored = bench.writer.position() or ""
            except (TransientError, OutageError) as error:
                stored = self._outlast(error, pending, stop)
            pending = self._not_stored(pending, stored)

    def _held(self, large: Transaction | None, routed: Sequence[Routed]) -> bool:
        """True when a wave of changes has just been held: its leg queues now."""
        bench = self._bench
        tables = bench.configuration.by_table
        guard = bench.guard
        held = guard.holds_large(large, tables) if large else guard.holds(routed)
        if held:
            bench.reconfigure()
        return held

    def _carry(self, pending: Sequence[Transaction], stop: Stop) -> bool:
        """Route and apply; false when a wave among them has just been held."""
        large = pending[0] if pending[0].large else None
        try:
            routed = [] if large else self._bench.routing.route(pending)
        except EngineError as error:
            raise SourceLost(error) from error
        if self._held(large, routed):
            return False
        if large:
            self._apply_large(large, stop)
        else:
            self._apply(pending, routed)
        return True

    def _outlast(
        self, error: EngineError, pending: Sequence[Transaction], stop: Stop
    ) -> str:
        """Wait until the target answers again; where it is then."""
        bench = self._bench
        wait = bench.settings.first_delay
        while True:
            if stop():
                raise error
            self._reporter.outage(error, pending)
            if isinstance(error, OutageError):
                bench.outage.note(error)
            if bench.outage.spool_due(bench.watcher.lag_bytes):
                raise TargetOutage(error) from error
            pause(wait, stop)
            wait = min(wait * 2, bench.settings.longest_delay)
            try:
                # Where the target really is, after an interrupted commit.
                return bench.writer.position() or ""
            except (TransientError, OutageError) as still:
                error = still

    def _not_stored(
        self, pending: Sequence[Transaction], stored: str
    ) -> list[Transaction]:
        """What an interrupted commit left to do. Raises OutageError, which makes the
        session start anew, where the target lost what was not durable yet."""
        bench = self._bench
        if stored < bench.written:
            raise OutageError(
                f"{bench.target.settings.name} came back from an earlier moment; its "
                "last changes are written again.",
                code="target_went_back",
            )
        bench.written = stored
        return [one for one in pending if one.position > stored]

    def _apply(
        self, transactions: Sequence[Transaction], routed: Sequence[Routed]
    ) -> None:
        bench = self._bench
        bench.keep(routed)
        working = [one for one in routed if one.items]
        if working:
            bench.unflushed = True
            bench.applier.apply(bench.set_aside.join(working))
            bench.set_aside.joined()
            bench.written = working[-1].position
            bench.latencies.note(
                (one.transaction.committed_at for one in working), datetime.now(UTC)
            )
        signs = [one.sign for one in transactions if one.sign]
        if signs and not working:
            bench.writer.position()  # the target must answer as well
        self._applied(transactions[-1])
        for sign in signs:
            bench.canary.passed(sign)

    def _applied(self, last: Transaction) -> None:
        self._bench.position = last.position
        self._bench.lag_seconds = _age(last)

    def _apply_large(self, transaction: Transaction, stop: Stop) -> None:
        bench = self._bench

        def pulse(position: str) -> None:
            if position:
                bench.unflushed = True
                bench.written = position
            if stop():
                raise Stopped
            bench.lag_seconds = _age(transaction)
            bench.agreement.wrote(bench.configuration)
            self._reporter.running()

        bench.large.apply(transaction, bench.written, pulse)
        bench.latencies.note((transaction.committed_at,), datetime.now(UTC))
        self._applied(transaction)


def _age(transaction: Transaction) -> float:
    return max(0.0, (datetime.now(UTC) - transaction.committed_at).total_seconds())
