"""How long changes take from their commit until they are visible, as a histogram."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
"""Upper bounds of the buckets in seconds; one more bucket holds the rest."""


@dataclass
class Latencies:
    """Source transactions by the time they took; by both systems' clocks."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def note(self, committed: Iterable[datetime], visible: datetime) -> None:
        """Add transactions that became visible together."""
        for moment in committed:
            took = max(0.0, (visible - moment).total_seconds())
            self.counts[bisect_left(BOUNDS, took)] += 1
            self.seconds += took
