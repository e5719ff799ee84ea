"""The pulse of a comparison at work: progress, pace, and whether it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from django.db import DatabaseError, connection
from django.utils import timezone

from portal.comparisons.models import Comparison, ComparisonState

PULSE_SECONDS = 1.0


class Cancelled(Exception):
    """Somebody wants the comparison to end."""


class Watch:
    """Used as a block around the work. A thread of its own writes the progress down
    and hears of a cancellation, since the rows are read by threads of the engine;
    `progress` is called there and raises Cancelled."""

    def __init__(
        self,
        comparison: Comparison,
        stop: Callable[[], bool] | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self._id = comparison.pk
        self._limit = comparison.rows_per_second
        self._stop = stop
        self._told = told
        self._cancelled = threading.Event()
        self._end = threading.Event()
        self._began = time.monotonic()
        self.rows = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def progress(self, rows: int) -> None:
        """So many rows have been read; waits where that was too fast."""
        self.rows = rows
        if self._told is not None:
            self._told(rows)
        self.check()
        if self._limit:
            due = self._began + rows / self._limit
            while (left := due - time.monotonic()) > 0:
                self._cancelled.wait(min(left, PULSE_SECONDS))
                self.check()

    def check(self) -> None:
        """Raises Cancelled once the comparison shall end."""
        if self._cancelled.is_set():
            raise Cancelled

    def _run(self) -> None:
        try:
            while not self._end.wait(PULSE_SECONDS):
                self._pulse()
        finally:
            connection.close()

    def _pulse(self) -> None:
        if self._stop is not None and self._stop():
            self._cancelled.set()
        try:
            mine = Comparison.objects.filter(pk=self._id, state=ComparisonState.RUNNING)
            mine.update(rows_read=self.rows, heartbeat_at=timezone.now())
            if mine.filter(cancel_requested=True).exists():
                self._cancelled.set()
        except DatabaseError:
            connection.close()  # tried again with the next pulse
