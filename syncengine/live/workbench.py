"""What a stream has between two outages: open connections, what is built on them, and
what its parts tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from syncengine.conflicts import Settler
from syncengine.connectors.base import Connector, Reader, Writer
from syncengine.errors import EngineError, OutageError, SetupError, TransientError
from syncengine.latency import Latencies
from syncengine.live.agreeing import Agreement, Memory
from syncengine.live.applying import Applier, Tally
from syncengine.live.canary import Canary
from syncengine.live.capture import Capture
from syncengine.live.configuring import Configuration, Configurator
from syncengine.live.draining import Drainer
from syncengine.live.drifting import LACKING, Suspicion
from syncengine.live.due import Due
from syncengine.live.gaps import Gaps
from syncengine.live.large import LargeTransactions
from syncengine.live.legs import LookupCache
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
from syncengine.live.routing_ahead import RoutingAhead
from syncengine.live.set_aside import SetAside
from syncengine.live.settings import LiveSettings
from syncengine.live.settling import settle_with
from syncengine.live.visibility import Visibility
from syncengine.live.watching import Watcher
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import Side
from syncengine.ports import Control, Journal


class Workbench:
    """Made anew for each session; `stack` closes it. Raises TargetOutage where the
    target does not answer, OutageError and the like where the source does not."""

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
        self.link = link
        self.source = source
        self.target = target
        self.journal = journal
        self.control = control
        self.settings = settings
        self.tally = Tally()
        self.outage = outage
        prompt = settings.synchronous
        try:
            self.writer = _closing(stack, target.writer(link, durable=prompt))
            self.position = self.writer.position() or ""
        except (OutageError, TransientError, SetupError) as error:
            raise TargetOutage(error) from error
        self.written = self.position
        self.control.unspool(self.position)
        self.gaps = Gaps(link, source, journal, control)
        self.gaps.mend(self.position)
        self.confirmed = self.control.confirmed()
        self.reader: Reader = stack.enter_context(source.reader())
        self.visibility = Visibility(self.reader)
        source_writer = _closing(stack, source.writer(link))
        self.settler = Settler(
            source_writer, _closing(stack, target.writer(link)), journal
        )
        self.receiver = Receiver(
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
        stack.callback(self.receiver.close)
        self.gate = source.gate(link) if prompt else None
        if self.gate is not None:
            stack.callback(self.gate.close)
        self.loops = Loops()
        self.agreement = Agreement(
            *(link, source, target, self.reader, self.settler, journal),
            stack,
            memory,
            self.loops,
        )
        self.cache = LookupCache()
        self.configurator = Configurator(
            source, Remembering(target, journal), self.cache, journal
        )
        self.errors = OpenErrors(journal)
        suspicion = Suspicion(self.configurator.drifted)
        self.router = Router(
            self.reader,
            self.cache,
            self.errors,
            self.receiver.ahead,
            suspicion=suspicion,
        )
        self.routing = RoutingAhead(self.router)
        self.configuration = Configuration.empty()
        self._news: tuple[int, str] | None = None
        self.applier = Applier(
            self.writer,
            journal,
            settle_with(self.settler, lambda: self.configuration),
            self.tally,
            self.errors,
            self.loops.contested,
            suspicion,
            # Where each commit is waited for, it would only delay them.
            None if prompt else self._route_ahead,
        )
        self.large = LargeTransactions(
            self.router,
            self.applier,
            self.writer,
            lambda: self.configuration.live(),
            self.keep,
        )
        self.drainer = Drainer(
            self.router,
            self.applier,
            Revived(self.reader, source_writer, self._opposite),
            Overwritten(self.reader, self.settler, self._opposite),
            self.agreement.doubt,
            journal,
            control,
        )
        self.retrier = Retrier(self.reader, self.applier, journal, self.outdated)
        self.retrying = False
        self.trouble = ""
        self.set_aside = SetAside(
            self.router, self.reader, self.applier, journal, control
        )
        self.capture = Capture(source, link, journal)
        self.lag_seconds = 0.0
        self.latencies = Latencies()
        self.unflushed = False
        self.watcher = Watcher(source, target, link, settings.check_every)
        stack.callback(self.watcher.close)
        self.guard = MassChangeGuard(target, control, journal)
        self.canary = Canary(source, link, settings.canary_every)
        stack.callback(self.canary.close)
        self.due = Due()

    def _opposite(self, map_id: int) -> CompiledLeg | None:
        return self.configuration.reverse.get(map_id)

    def _route_ahead(self) -> None:
        users, _ = self.agreement.apart(self.receiver.upcoming())
        self.routing.prepare(users)
        self.receiver.go_on()

    def reconfigure(self) -> None:
        """Take the present configuration of all maps over and acknowledge it."""
        self.configuration = self.configurator.configure(
            self.control.configuration(), self.configuration
        )
        self.router.use(self.configuration.by_table)
        self.set_aside.use(self.configuration)
        self.errors.use(self.configuration.legs)
        self.watcher.watch(self.configurator.watched(self.configuration))
        self.due.force("retry")
        for leg in self.configuration.broken():
            code, _, message = leg.problem.partition(": ")
            self.control.schema_broken(leg.configuration, code, message)
        self._news = (self.configuration.revision, self.receiver.seen_position)
        self.acknowledge()

    def outdated(self) -> bool:
        """True when the configuration has changed; it is taken over next, then."""
        if self.control.revision() == self.configuration.revision:
            return False
        self.due.force("configuration")
        return True

    def acknowledge(self) -> None:
        """Acknowledge a configuration that was taken over, once a copy would read all
        that was carried before it: nothing else tells of that."""
        if self._news is not None and self.visibility.reached():
            self.control.acknowledge(*self._news)
            self._news = None

    def caught_up(self) -> None:
        """Nothing waits on the source: no change is older than what retries wrote."""
        for leg in self.configuration.legs:
            leg.retried.clear()

    def take_tables_in(self) -> bool:
        """Compile anew what stands on changed tables, and say what has changed; True
        when anything has."""
        changed = self.configurator.refresh(self.configuration)
        self.reconfigure()
        news = self.configurator.take_news()
        if news:
            self.journal.event("schema.changed", " ".join(news), changes=news)
        return changed

    def lacks_what_changed(self, error: EngineError) -> bool:
        """True when the source lacks what a leg reads, and the leg was compiled
        anew."""
        return error.code in LACKING and self.take_tables_in()

    def keep(self, routed: Sequence[Routed]) -> None:
        """Put into the journal what is not for now."""
        queued = [entry for one in routed for entry in one.queued]
        if queued:
            self.journal.enqueue(queued)
            self.configuration.note_queued(queued)
        truncated = sorted({name for one in routed for name in one.truncated})
        if truncated:
            self.control.truncated(truncated)


def _closing(stack: ExitStack, writer: Writer) -> Writer:
    stack.callback(writer.close)
    return writer
