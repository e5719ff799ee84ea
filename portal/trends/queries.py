"""What the charts show: a window of time, every span of it, known or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Max, Sum
from django.utils import timezone

from portal.accounts.scope import EVERYTHING, Scope
from portal.trends.models import Span, Trend

WINDOWS = {
    "hour": (Span.MINUTE, 60),
    "day": (Span.QUARTER, 96),
    "week": (Span.TWO_HOURS, 84),
}
"""Spans of a window, and how many."""

LARGER = Span.TWO_HOURS
"""From this span on a time of day says too little: the day is named."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Figures:
    """One span of time. Not `known`: no sample was taken."""

    began_at: datetime
    known: bool = False
    to_dataverse: int = 0
    to_finops: int = 0
    copied: int = 0
    lag_to_dataverse: float | None = None
    lag_to_finops: float | None = None


@dataclass(frozen=True)
class Window:
    """A stretch of time up to now, by its name."""

    name: str
    span: Span
    figures: Sequence[Figures]

    def __iter__(self) -> Iterator[Figures]:
        return iter(self.figures)


def window(
    name: str,
    connection_set: int | None = None,
    now: datetime | None = None,
    scope: Scope = EVERYTHING,
) -> Window:
    """The last hour, day or week of one connection set, or of all within the limits:
    one query. It counts all companies, so only of sets that may be seen whole."""
    span, number = WINDOWS[name]
    length = timedelta(seconds=span)
    now = now or timezone.now()
    last = EPOCH + (now - EPOCH) // length * length
    first = last - (number - 1) * length
    rows = Trend.objects.within(scope).filter(span=span, began_at__range=(first, last))
    if scope.parts:
        rows = rows.exclude(stream__connection_set__in=list(scope.parts))
    if connection_set is not None:
        rows = rows.filter(stream__connection_set=connection_set)
    else:
        rows = rows.filter(stream__connection_set__retired_at=None)
    found: dict[datetime, dict[str, tuple[int, int, float | None]]] = defaultdict(dict)
    for began_at, source, carried, copied, lag in (
        rows.order_by()
        .values_list("began_at", "stream__source")
        .annotate(Sum("carried"), Sum("copied"), Max("lag_seconds"))
    ):
        found[began_at][source] = carried, copied, lag
    moments = [first + length * each for each in range(number)]
    return Window(name, span, [_figures(one, found.get(one, {})) for one in moments])


def _figures(
    began_at: datetime, sources: dict[str, tuple[int, int, float | None]]
) -> Figures:
    finops = sources.get("finops", (0, 0, None))
    dataverse = sources.get("dataverse", (0, 0, None))
    return Figures(
        began_at,
        known=bool(sources),
        to_dataverse=finops[0],
        to_finops=dataverse[0],
        copied=finops[1] + dataverse[1],
        lag_to_dataverse=finops[2],
        lag_to_finops=dataverse[2],
    )
