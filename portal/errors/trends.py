"""How many failures each cause brought lately, and keeping that short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from portal.errors.models import ErrorArrivals

KEPT_DAYS = 30
HOURS, DAYS = 24, 14


@dataclass(frozen=True)
class Trend:
    """Failures by step, the oldest first; `step` is `hour` or `day`."""

    step: str
    numbers: tuple[int, ...]

    @property
    def total(self) -> int:
        """Of all steps."""
        return sum(self.numbers)

    @property
    def words(self) -> str:
        """The same for those who do not see the bars."""
        if not self.total:
            return f"None in the last {len(self.numbers)} {self.step}s"
        return (
            f"{self.total:,} in the last {len(self.numbers)} {self.step}s, "
            f"{self.numbers[-1]:,} of them in the present {self.step}"
        )


def by_hour(causes: Iterable[int], now: datetime | None = None) -> dict[int, Trend]:
    """The last day of each cause, hour by hour; one query."""
    end = (now or timezone.now()).replace(minute=0, second=0, microsecond=0)
    return _trends(causes, "hour", end, timedelta(hours=1), HOURS)


def by_day(cause: int, now: datetime | None = None) -> Trend:
    """The last two weeks of a cause, day by day (UTC)."""
    end = (now or timezone.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    return _trends([cause], "day", end, timedelta(days=1), DAYS)[cause]


def _trends(
    causes: Iterable[int], step: str, end: datetime, width: timedelta, steps: int
) -> dict[int, Trend]:
    ids = list(causes)
    since = end - width * (steps - 1)
    rows = ErrorArrivals.objects.filter(cause__in=ids, hour__gte=since)
    found: dict[int, list[int]] = defaultdict(lambda: [0] * steps)
    for cause, hour, failures in rows.order_by().values_list(
        "cause_id", "hour", "failures"
    ):
        found[cause][min((hour - since) // width, steps - 1)] += failures
    return {pk: Trend(step, tuple(found[pk])) for pk in ids}


def purge(now: datetime) -> int:
    """Forget what no trend shows any more."""
    old = ErrorArrivals.objects.filter(hour__lt=now - timedelta(days=KEPT_DAYS))
    return old._raw_delete(old.db)
