"""The loop of one stream: receive, route, apply, confirm; drain and retry between.

Architecture section 6. Whatever must not be lost is on the target or in the journal
before a position is stored or confirmed, so the stream can be killed anywhere.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby

from syncengine.conflicts import Settler
from syncengine.connectors.base import (
    Connector,
    Reader,
    Transaction,
    Writer,
)
from syncengine.errors import EngineError, OutageError, SetupError, TransientError
from syncengine.latency import Latencies
from syncengine.live.agreeing import Agreement, Memory
from syncengine.live.applying import Applier, Tally
from syncengine.live.canary import Canary
from syncengine.live.capture import Capture
from syncengine.live.configuring import Configuration, Configurator
from syncengine.live.draining import Drainer
from syncengine.live.drifting import LACKING, Suspicion, TablesChanged
from syncengine.live.due import Due
from syncengine.live.gaps import Gaps
from syncengine.live.large import LargeTransactions, SourceLost, Stopped
from syncengine.live.legs import LiveLeg, LookupCache
from syncengine.live.loops import Loops
from syncengine.live.mass_changes import MassChangeGuard
from syncengine.live.open_errors import OpenErrors
from syncengine.live.outages import Outage, TargetOutage
from syncengine.live.overwritten import Overwritten
from syncengine.live.receiving import Receiver
from syncengine.live.remembering import Remembering
from syncengine.live.retrying import Retrier
from syncengine.live.revived import Revived
from syncengine.live.routing import Routed, Router
from syncengine.live.set_aside import SetAside
from syncengine.live.settling import review_touched, settle_with
from syncengine.live.spooling import SpoolSession
from syncengine.live.watching import Watcher
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import Side
from syncengine.ports import Control, Journal, StreamReport

Stop = Callable[[], bool]

COLLECT_AFTER = 100_000
"""Allocations between two runs of the garbage collector. Batches hold many small
tuples and no cycles: the default of 700 costs a quarter of a busy stream's time."""


@dataclass(frozen=True)
class LiveSettings:
    """Limits and rhythms of a stream; seconds unless named otherwise."""

    batch_changes: int = 2_000
    batch_bytes: int = 16 * 1024 * 1024
    wait: float = 0.05
    configuration_every: float = 0.1
    report_every: float = 0.5
    retry_every: float = 1.0
    check_every: float = 5.0
    flush_every: float = 0.3
    canary_every: float = 5.0
    probe_every: float = 1.0
    first_delay: float = 0.1
    longest_delay: float = 5.0
    synchronous: bool = False
    """Users of the source wait for their commits to be through: each is made durable
    and told at once."""


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
                _pause(delay, stop)
                delay = min(delay * 2, self._settings.longest_delay)

    def _session(self, stop: Stop) -> None:
        with ExitStack() as stack:
            session = _Session(
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
                session.run(stop)
            finally:
                self._position = session.position

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


class _Session:
    """What runs between two outages: open connections and everything built on them."""

    def __init__(
        self,
        link: str,
        source: Connector,
        target: Connector,
        journal: Journal,
        control: Control,
        settings: LiveSettings,
        stack: ExitStack,
        outage: Outage,
        memory: Memory,
    ) -> None:
        self._link = link
        self._source = source
        self._target = target
        self._journal = journal
        self._control = control
        self._settings = settings
        self._tally = Tally()
        self._outage = outage
        prompt = settings.synchronous
        try:
            self._writer = _closing(stack, target.writer(link, durable=prompt))
            self.position = self._writer.position() or ""
        except (OutageError, TransientError, SetupError) as error:
            raise TargetOutage(error) from error
        self._written = self.position
        self._control.unspool(self.position)
        self._gaps = Gaps(link, source, journal, control)
        self._gaps.mend(self.position)
        self._confirmed = self._control.confirmed()
        self._reader: Reader = stack.enter_context(source.reader())
        source_writer = _closing(stack, source.writer(link))
        self._settler = Settler(
            source_writer, _closing(stack, target.writer(link)), journal
        )
        self._receiver = Receiver(
            source.open_stream(
                link,
                self.position or None,
                prompt=prompt,
                own=source.settings.side is Side.FINOPS,
            ),
            settings.batch_changes,
            settings.batch_bytes,
            prompt=prompt,
        )
        stack.callback(self._receiver.close)
        self._loops = Loops()
        self._agreement = Agreement(
            *(link, source, target, self._reader, self._settler, journal),
            stack,
            memory,
            self._loops,
        )
        self._cache = LookupCache()
        self._configurator = Configurator(
            source, Remembering(target, journal), self._cache, journal
        )
        self._errors = OpenErrors(journal)
        suspicion = Suspicion(self._configurator.drifted)
        self._router = Router(
            self._reader,
            self._cache,
            self._errors,
            self._receiver.ahead,
            suspicion=suspicion,
        )
        self._configuration = Configuration.empty()
        self._applier = Applier(
            self._writer,
            journal,
            settle_with(self._settler, lambda: self._configuration),
            self._tally,
            self._errors,
            self._loops.contested,
            suspicion,
        )
        self._large = LargeTransactions(
            self._router,
            self._applier,
            self._writer,
            lambda: self._configuration.live(),
            self._keep,
        )
        self._drainer = Drainer(
            self._router,
            self._applier,
            Revived(self._reader, source_writer, self._opposite),
            Overwritten(self._reader, self._settler, self._opposite),
            self._agreement.doubt,
            journal,
            control,
        )
        self._retrier = Retrier(self._reader, self._applier, journal)
        self._retrying = False
        self._trouble = ""
        self._set_aside = SetAside(
            self._router, self._reader, self._applier, journal, control
        )
        self._capture = Capture(source, link, journal)
        self._lag_seconds = 0.0
        self._latencies = Latencies()
        self._unflushed = False
        self._watcher = Watcher(source, target, link, settings.check_every)
        stack.callback(self._watcher.close)
        self._guard = MassChangeGuard(target, control, journal)
        self._canary = Canary(source, link, settings.canary_every)
        stack.callback(self._canary.close)
        self._due = Due()

    def _opposite(self, map_id: int) -> CompiledLeg | None:
        return self._configuration.reverse.get(map_id)

    def run(self, stop: Stop) -> None:
        """Work until told to stop. Raises OutageError and the like."""
        self._outage.over()
        while not stop():
            self._configure()
            transactions, own = self._agreement.apart(
                self._receiver.take(self._waiting_time())
            )
            if transactions:
                self._process(transactions, stop)
            else:
                self._lag_seconds = 0.0
            self._agreement.note(own, self._configuration)
            self._confirm()
            self._between()
            self._report()
        self._agreement.stop()
        self._confirm(at_once=True)
        self._report(always=True)

    def _confirm(self, *, at_once: bool = False) -> None:
        """Let the source forget what is durable on the target."""
        at_once = at_once or self._settings.synchronous
        if self._unflushed:
            if not (self._due.now("flush", self._settings.flush_every) or at_once):
                return
            self._writer.flush()
            self._unflushed = False
        seen = self._receiver.seen_position
        if seen > max(self._confirmed, self._written):
            # Noted first: a source that remembers more than that has a gap.
            if not (self._due.now("confirm", self._settings.flush_every) or at_once):
                return
            self._control.confirming(seen)
            self._confirmed = seen
        self._receiver.confirm(seen)

    def _due_legs(self) -> list[LiveLeg]:
        return self._drainer.due(self._configuration, self._receiver.seen_position)

    def _waiting_time(self) -> float:
        """Do not wait for new changes while there are others to replay or retry."""
        busy = self._retrying or self._due_legs()
        return 0.0 if busy else self._settings.wait

    # -- configuration --------------------------------------------------------------

    def _configure(self) -> None:
        if not self._due.now("configuration", self._settings.configuration_every):
            return
        if self._control.revision() != self._configuration.revision:
            self._reconfigure()

    def _reconfigure(self) -> None:
        self._configuration = self._configurator.configure(
            self._control.configuration(), self._configuration
        )
        self._router.use(self._configuration.by_table)
        self._set_aside.use(self._configuration)
        self._errors.use(self._configuration.legs)
        self._watcher.watch(self._configurator.watched(self._configuration))
        self._due.force("retry")
        for leg in self._configuration.broken():
            code, _, message = leg.problem.partition(": ")
            self._control.schema_broken(leg.configuration, code, message)
        self._control.acknowledge(
            self._configuration.revision, self._receiver.seen_position
        )

    # -- transactions ---------------------------------------------------------------

    def _process(self, transactions: Sequence[Transaction], stop: Stop) -> None:
        """Apply what was received; large transactions each by themselves."""
        for large, group in groupby(transactions, lambda one: one.large):
            for batch in ([one] for one in group) if large else (list(group),):
                self._process_batch(batch, stop)

    def _process_batch(self, batch: Sequence[Transaction], stop: Stop) -> None:
        """Apply a batch, through transient failures and short outages of the target."""
        pending = list(batch)
        while pending:
            try:
                if not self._carry(pending, stop):
                    continue
                self._outage.over()
                return
            except TablesChanged:
                self._take_tables_in()
                stored = self._writer.position() or ""
            except SourceLost as lost:
                # An outage of the source ends the session: its connections are made
                # anew.
                if not self._lacks_what_changed(lost.error):
                    raise lost.error from lost
                stored = self._writer.position() or ""
            except (TransientError, OutageError) as error:
                stored = self._outlast(error, pending, stop)
            pending = self._not_stored(pending, stored)

    def _held(self, large: Transaction | None, routed: Sequence[Routed]) -> bool:
        """True when a wave of changes has just been held: its leg queues now."""
        tables = self._configuration.by_table
        guard = self._guard
        held = guard.holds_large(large, tables) if large else guard.holds(routed)
        if held:
            self._reconfigure()
        return held

    def _carry(self, pending: Sequence[Transaction], stop: Stop) -> bool:
        """Route and apply; false when a wave among them has just been held."""
        large = pending[0] if pending[0].large else None
        try:
            routed = [] if large else self._router.route(pending)
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
        wait = self._settings.first_delay
        while True:
            if stop():
                raise error
            self._report_outage(error, pending)
            if isinstance(error, OutageError):
                self._outage.note(error)
            if self._outage.spool_due(self._watcher.lag_bytes):
                raise TargetOutage(error) from error
            _pause(wait, stop)
            wait = min(wait * 2, self._settings.longest_delay)
            try:
                # Where the target really is, after an interrupted commit.
                return self._writer.position() or ""
            except (TransientError, OutageError) as still:
                error = still

    def _take_tables_in(self) -> bool:
        """Compile anew what stands on changed tables, and say what has changed; True
        when anything has."""
        changed = self._configurator.refresh(self._configuration)
        self._reconfigure()
        news = self._configurator.take_news()
        if news:
            self._journal.event("schema.changed", " ".join(news), changes=news)
        return changed

    def _lacks_what_changed(self, error: EngineError) -> bool:
        """True when the source lacks what a leg reads, and the leg was compiled
        anew."""
        return error.code in LACKING and self._take_tables_in()

    def _not_stored(
        self, pending: Sequence[Transaction], stored: str
    ) -> list[Transaction]:
        """What an interrupted commit left to do. Raises OutageError, which makes the
        session start anew, where the target lost what was not durable yet."""
        if stored < self._written:
            raise OutageError(
                f"{self._target.settings.name} came back from an earlier moment; its "
                "last changes are written again.",
                code="target_went_back",
            )
        self._written = stored
        return [one for one in pending if one.position > stored]

    def _apply(
        self, transactions: Sequence[Transaction], routed: Sequence[Routed]
    ) -> None:
        self._keep(routed)
        working = [one for one in routed if one.items]
        if working:
            self._unflushed = True
            self._applier.apply(self._set_aside.join(working))
            self._set_aside.joined()
            self._written = working[-1].position
            self._latencies.note(
                (one.transaction.committed_at for one in working), datetime.now(UTC)
            )
        signs = [one.sign for one in transactions if one.sign]
        if signs and not working:
            self._writer.position()  # the target must answer as well
        self._applied(transactions[-1])
        for sign in signs:
            self._canary.passed(sign)

    def _keep(self, routed: Sequence[Routed]) -> None:
        """Put into the journal what is not for now."""
        queued = [entry for one in routed for entry in one.queued]
        if queued:
            self._journal.enqueue(queued)
            self._configuration.note_queued(queued)
        truncated = sorted({name for one in routed for name in one.truncated})
        if truncated:
            self._control.truncated(truncated)

    def _applied(self, last: Transaction) -> None:
        self.position = last.position
        self._lag_seconds = _age(last)

    def _apply_large(self, transaction: Transaction, stop: Stop) -> None:
        def pulse(position: str) -> None:
            if position:
                self._unflushed = True
                self._written = position
            if stop():
                raise Stopped
            self._lag_seconds = _age(transaction)
            self._report()

        self._large.apply(transaction, self._written, pulse)
        self._latencies.note((transaction.committed_at,), datetime.now(UTC))
        self._applied(transaction)

    def _report_outage(
        self, error: EngineError, pending: Sequence[Transaction]
    ) -> None:
        oldest = pending[0].committed_at
        self._journal.report(
            StreamReport(
                state="retrying",
                position=self.position,
                lag_seconds=(datetime.now(UTC) - oldest).total_seconds(),
                lag_bytes=self._watcher.lag_bytes,
                message=error.message,
            )
        )

    # -- between batches ------------------------------------------------------------

    def _between(self) -> None:
        try:
            self._work_between()
        except TablesChanged:
            self._take_tables_in()
        except SetupError as error:
            if not self._lacks_what_changed(error):
                raise

    def _work_between(self) -> None:
        due = self._due_legs()
        if due and self._guard.holds_queues(due):
            self._reconfigure()
            return
        ready = cache(self._ready_for_live)
        # Reading all tables once is enough for all legs that are ready together.
        if self._drainer.drain_all(due, ready):
            self._reconfigure()
            return
        if len(due) < len(self._drainer.draining(self._configuration)):
            self._receiver.ask()
        self._retry()
        review_touched(self._settler, self._configuration)
        self._agreement.look(self._configuration, self._receiver.seen_position)
        self._loops.tell(self._control)
        if self._set_aside.replay(self._configuration):
            self._receiver.ask()
        if self._due.now("log", self._settings.check_every):
            self._look_at_log()
        if self._watcher.tables_changed.is_set():
            self._watcher.tables_changed.clear()
            self._take_tables_in()
        if self._watcher.capture_incomplete.is_set():
            self._watcher.capture_incomplete.clear()
            self._capture.ensure(
                self._configurator.watched(self._configuration).captured
            )

    def _look_at_log(self) -> None:
        """Raises OutageError where the source's log is lost or too large: the next
        session mends that first."""
        waiting = self._watcher.lag_bytes
        if self._watcher.log_lost.is_set() or self._gaps.beyond_limit(waiting):
            raise OutageError(
                f"The log that {self._source.settings.name} keeps for this link is "
                "lost, or larger than it may be.",
                code="log_lost",
            )

    def _retry(self) -> None:
        """Try a portion of what is due again: each second, and without a pause while
        there is more or a record that others waited for has arrived."""
        if self._due.now("errors", self._settings.check_every):
            self._errors.refresh()
        at_once = self._retrying or self._tally.woken
        if not (self._due.now("retry", self._settings.retry_every) or at_once):
            return
        self._tally.woken = False
        try:
            self._retrying = self._retrier.run(self._configuration)
        except TransientError as error:
            # They stay due; live changes need not wait for what holds them up.
            self._retrying = False
            self._trouble = f"Retries wait: {error.message}"
        else:
            self._trouble = ""

    def _ready_for_live(self) -> bool:
        """Before a leg goes live: its tables are as compiled, and captured. One that
        was made anew in the meantime would not be."""
        if self._configurator.refresh(self._configuration):
            self._reconfigure()
            return False
        captured = self._configurator.watched(self._configuration).captured
        self._capture.ensure(captured)
        return True

    def _report(self, *, always: bool = False) -> None:
        if not (self._due.now("report", self._settings.report_every) or always):
            return
        written = {key: dict(counts) for key, counts in self._tally.written.items()}
        moments = dict(self._tally.last_change)
        self._tally.written.clear()
        self._tally.last_change.clear()
        latencies, self._latencies = self._latencies, Latencies()
        self._journal.report(
            StreamReport(
                state="running",
                position=self._receiver.seen_position,
                lag_seconds=self._lag_seconds,
                lag_bytes=self._watcher.lag_bytes,
                message=self._trouble,
                retained_bytes=self._watcher.retained_bytes,
                written=written,
                last_change=moments,
                canary=self._canary.state,
                latencies=latencies,
            )
        )


def _age(transaction: Transaction) -> float:
    return max(0.0, (datetime.now(UTC) - transaction.committed_at).total_seconds())


def _closing(stack: ExitStack, writer: Writer) -> Writer:
    stack.callback(writer.close)
    return writer


def _pause(seconds: float, stop: Stop) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop():
        time.sleep(0.05)  # a back-off, not a wait for a result
