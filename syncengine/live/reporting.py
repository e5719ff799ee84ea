"""What a running stream says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from syncengine.connectors.base import Transaction
from syncengine.errors import EngineError
from syncengine.latency import Latencies
from syncengine.live.workbench import Workbench
from syncengine.ports import StreamReport


class Reporter:
    """Reports of one session to the journal."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def running(self, *, always: bool = False) -> None:
        """Say, now and then, how far the stream is and what it wrote since."""
        bench = self._bench
        if not (bench.due.now("report", bench.settings.report_every) or always):
            return
        written = {key: dict(counts) for key, counts in bench.tally.written.items()}
        moments = dict(bench.tally.last_change)
        bench.tally.written.clear()
        bench.tally.last_change.clear()
        latencies, bench.latencies = bench.latencies, Latencies()
        bench.journal.report(
            StreamReport(
                state="running",
                position=bench.receiver.seen_position,
                lag_seconds=bench.lag_seconds,
                lag_bytes=bench.watcher.lag_bytes,
                message=bench.trouble,
                retained_bytes=bench.watcher.retained_bytes,
                written=written,
                last_change=moments,
                canary=bench.canary.state,
                latencies=latencies,
            )
        )

    def outage(self, error: EngineError, pending: Sequence[Transaction]) -> None:
        """Say what keeps these transactions waiting."""
        bench = self._bench
        oldest = pending[0].committed_at
        bench.journal.report(
            StreamReport(
                state="retrying",
                position=bench.position,
                lag_seconds=(datetime.now(UTC) - oldest).total_seconds(),
                lag_bytes=bench.watcher.lag_bytes,
                message=error.message,
            )
        )
