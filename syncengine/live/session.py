"""The loop of one stream between two outages: receive, route, apply, confirm; drain and
retry between.

Architecture section 6. Whatever must not be lost is on the target or in the journal
before a position is stored or confirmed, so the stream can be killed anywhere.
"""

from __future__ import annotations

from syncengine.live.between import Between
from syncengine.live.processing import Processor
from syncengine.live.reporting import Reporter
from syncengine.live.settings import Stop
from syncengine.live.workbench import Workbench


class Session:
    """What runs on one workbench."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._reporter = Reporter(bench)
        self._processor = Processor(bench, self._reporter)
        self._between = Between(bench)

    def run(self, stop: Stop) -> None:
        """Work until told to stop. Raises OutageError and the like."""
        bench = self._bench
        bench.outage.over()
        while not stop():
            self._configure()
            transactions, own = bench.agreement.apart(
                bench.receiver.take(self._between.waiting_time())
            )
            if transactions:
                self._processor.process(transactions, stop)
                bench.visibility.note(transactions)
            else:
                bench.lag_seconds = 0.0
                bench.caught_up()
            bench.agreement.note(own, bench.configuration)
            self._confirm()
            bench.acknowledge()
            self._between.work()
            self._reporter.running()
        bench.agreement.stop()
        self._confirm(at_once=True)
        self._reporter.running(always=True)

    def _confirm(self, *, at_once: bool = False) -> None:
        """Let the source forget what is durable on the target."""
        bench = self._bench
        at_once = at_once or bench.settings.synchronous
        if bench.unflushed:
            if not (bench.due.now("flush", bench.settings.flush_every) or at_once):
                return
            bench.writer.flush()
            bench.unflushed = False
        seen = bench.receiver.seen_position
        if seen > max(bench.confirmed, bench.written):
            # Noted first: a source that remembers more than that has a gap.
            if not (bench.due.now("confirm", bench.settings.flush_every) or at_once):
                return
            bench.control.confirming(seen)
            bench.confirmed = seen
        bench.receiver.confirm(seen)

    def _configure(self) -> None:
        bench = self._bench
        if not bench.due.now("configuration", bench.settings.configuration_every):
            return
        if bench.control.revision() != bench.configuration.revision:
            bench.reconfigure()
