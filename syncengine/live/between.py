"""What a stream does between two batches: drains and retries, looks at records in
doubt, and at the source's log and tables."""

from __future__ import annotations

from functools import cache

from syncengine.errors import OutageError, SetupError, TransientError
from syncengine.live.drifting import TablesChanged
from syncengine.live.legs import LiveLeg
from syncengine.live.settling import review_touched
from syncengine.live.workbench import Workbench


class Between:
    """The work of one session between its batches."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def work(self) -> None:
        """Do what is due. Raises OutageError and the like."""
        try:
            self._work_between()
        except TablesChanged:
            self._bench.take_tables_in()
        except SetupError as error:
            if not self._bench.lacks_what_changed(error):
                raise

    def _work_between(self) -> None:
        bench = self._bench
        due = self.due_legs()
        if due and bench.guard.holds_queues(due):
            bench.reconfigure()
            return
        ready = cache(self._ready_for_live)
        # Reading all tables once is enough for all legs that are ready together.
        if bench.drainer.drain_all(due, ready):
            bench.reconfigure()
            return
        if len(due) < len(bench.drainer.draining(bench.configuration)):
            bench.receiver.ask()
        self._retry()
        review_touched(bench.settler, bench.configuration)
        bench.agreement.look(bench.configuration, bench.receiver.seen_position)
        bench.loops.tell(bench.control)
        if bench.set_aside.replay(bench.configuration):
            bench.receiver.ask()
        if bench.due.now("log", bench.settings.check_every):
            self._look_at_log()
        if bench.watcher.tables_changed.is_set():
            bench.watcher.tables_changed.clear()
            bench.take_tables_in()
        if bench.watcher.capture_incomplete.is_set():
            bench.watcher.capture_incomplete.clear()
            bench.capture.ensure(
                bench.configurator.watched(bench.configuration).captured
            )

    def _look_at_log(self) -> None:
        """Raises OutageError where the source's log is lost or too large: the next
        session mends that first."""
        bench = self._bench
        waiting = bench.watcher.lag_bytes
        if bench.watcher.log_lost.is_set() or bench.gaps.beyond_limit(waiting):
            raise OutageError(
                f"The log that {bench.source.settings.name} keeps for this link is "
                "lost, or larger than it may be.",
                code="log_lost",
            )

    def _retry(self) -> None:
        """Try a portion of what is due again: each second, and without a pause while
        there is more or a record that others waited for has arrived."""
        bench = self._bench
        if bench.due.now("errors", bench.settings.check_every):
            bench.errors.refresh()
        # Not with each batch: the target does not say which of them it was.
        if bench.errors.freed and bench.due.now("freed", bench.settings.retry_every):
            bench.tally.woken |= bench.errors.let_go()
        at_once = bench.retrying or bench.tally.woken
        if not (bench.due.now("retry", bench.settings.retry_every) or at_once):
            return
        if not bench.visibility.reached():
            bench.due.force("retry")
            return
        bench.tally.woken = False
        try:
            bench.retrying = bench.retrier.run(bench.configuration)
        except TransientError as error:
            # They stay due; live changes need not wait for what holds them up.
            bench.retrying = False
            bench.trouble = f"Retries wait: {error.message}"
        else:
            bench.trouble = ""

    def _ready_for_live(self) -> bool:
        """Before a leg goes live: its tables are as compiled, and captured. One that
        was made anew in the meantime would not be."""
        bench = self._bench
        if bench.configurator.refresh(bench.configuration):
            bench.reconfigure()
            return False
        captured = bench.configurator.watched(bench.configuration).captured
        bench.capture.ensure(captured)
        return True

    def due_legs(self) -> list[LiveLeg]:
        """Legs whose queues may be replayed now."""
        bench = self._bench
        return bench.drainer.due(bench.configuration, bench.receiver.seen_position)

    def waiting_time(self) -> float:
        """Do not wait for new changes while there are others to replay or retry."""
        busy = self._bench.retrying or self.due_legs()
        return 0.0 if busy else self._bench.settings.wait
