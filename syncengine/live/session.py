"""The loop of one stream between two outages: receive, route, apply, confirm; drain and
retry between.

Architecture section 6. Whatever must not be lost is on the target or in the journal
before a position is stored or confirmed, so the stream can be killed anywhere.
"""

from __future__ import annotations

from syncengine.connectors.base import Transaction
from syncengine.live.between import Between
from syncengine.live.processing import Processor
from syncengine.live.reporting import Reporter
from syncengine.live.settings import Stop
from syncengine.live.workbench import Workbench

LOOK_AGAIN_SECONDS = 0.01
NOTES_UNASKED = 4
"""Where one commit waited for what is noted, so probably will the next few."""


class Session:
    """What runs on one workbench."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._reporter = Reporter(bench)
        self._processor = Processor(bench, self._reporter)
        self._between = Between(bench)
        self._waited = False
        self._free = 0
        self._carried = False

    def run(self, stop: Stop) -> None:
        """Work until told to stop. Raises OutageError and the like."""
        bench = self._bench
        bench.outage.over()
        while not stop():
            self._configure()
            transactions, own = bench.agreement.apart(self._take())
            if transactions:
                self._processor.process(transactions, stop)
                bench.visibility.note(transactions)
            else:
                bench.lag_seconds = 0.0
                bench.caught_up()
            self._carried = bool(transactions)
            bench.agreement.note(own, bench.configuration)
            self._confirm(users=bool(transactions))
            bench.acknowledge()
            self._between.work()
            self._reporter.running()
        bench.agreement.stop()
        self._confirm(at_once=True)
        self._reporter.running(always=True)

    def _take(self) -> list[Transaction]:
        bench = self._bench
        wait = self._between.waiting_time()
        if not bench.settings.synchronous:
            return bench.receiver.take(wait)
        if self._carried or self._unnoted():
            # Nobody waited for this a moment ago; somebody may by now. Behind a change
            # that was written the next one is likelier than a commit not for us.
            return bench.receiver.take(min(wait, LOOK_AGAIN_SECONDS))
        return bench.receiver.take(wait, progress=True)

    def _confirm(self, *, users: bool = False, at_once: bool = False) -> None:
        """Let the source forget what is durable on the target; `users` when something
        of theirs has just been carried over."""
        bench = self._bench
        synchronous = bench.settings.synchronous
        if bench.unflushed:
            due = bench.due.now("flush", bench.settings.flush_every)
            if not (due or at_once or synchronous):
                return
            bench.writer.flush()
            bench.unflushed = False
        if self._unnoted():
            if synchronous:
                # Whose change was written need not wait for what is noted below.
                bench.receiver.confirm(self._noted())
            # Noted first: a source that remembers more than that has a gap.
            if not (at_once or self._note_due(users=users)):
                return
            seen = bench.receiver.seen_position
            bench.control.confirming(seen)
            bench.confirmed = seen
        bench.receiver.confirm(bench.receiver.seen_position)

    def _noted(self) -> str:
        """Up to here the target or the control knows how far we are."""
        return max(self._bench.confirmed, self._bench.written)

    def _unnoted(self) -> bool:
        return self._bench.receiver.seen_position > self._noted()

    def _note_due(self, *, users: bool) -> bool:
        """Now and then, and at once when a user's commit waits for it. Not at once for
        all that moves: noting may write to the source's own server, and our writers
        do, for which nobody waits, and it would go on for ever."""
        bench = self._bench
        if bench.due.now("confirm", bench.settings.flush_every):
            return True
        if bench.gate is None:
            return False
        if users and bench.position > self._noted():
            return True
        if self._free:
            self._free -= 1
            return True
        # Asked again at once only where somebody waited a moment ago: among changes
        # that are written each question would cost the next of them its time.
        if not bench.due.now("look", 0.0 if self._waited else LOOK_AGAIN_SECONDS):
            return False
        # Where our account may not see it, somebody may wait.
        waiting = bench.gate.commits_wait()
        self._waited = waiting is True
        self._free = NOTES_UNASKED if self._waited else 0
        return waiting is not False

    def _configure(self) -> None:
        bench = self._bench
        if not bench.due.now("configuration", bench.settings.configuration_every):
            return
        if bench.control.revision() != bench.configuration.revision:
            bench.reconfigure()
