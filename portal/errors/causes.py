"""Reading causes: the list, one with samples, and counts that need no counting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.errors.models import (
    OPEN_ERROR_STATES,
    CauseComment,
    ErrorGroup,
    ErrorState,
    SyncError,
)
from portal.errors.queries import WAITING, ErrorFilter, owned
from portal.errors.trends import Trend, by_day, by_hour
from syncengine.mapping.causes import CODES, recovery_of

SAMPLES = 3
COMMENTS = 100

_OPEN_SAMPLES = """
SELECT e.* FROM unnest(%s::bigint[]) c(id) CROSS JOIN LATERAL (
    SELECT * FROM errors_syncerror
    WHERE cause_id = c.id AND state IN ('open', 'retrying')
    ORDER BY id DESC LIMIT %s) e
"""

COUNTED = {
    WAITING: "waiting_count",
    ErrorState.OPEN.value: "waiting_count",
    ErrorState.RETRYING.value: "retrying_count",
    "all": "kept_count",
}
"""Filters of the list whose number is kept with the causes."""


def causes(filters: ErrorFilter) -> QuerySet[ErrorGroup]:
    """The causes a filter selects, those with most records first; those without an
    open error only when all are asked for."""
    rows = narrowed(filters).select_related("table_map", "assigned_to")
    if filters.state != "all":
        rows = rows.filter(waiting_count__gt=0)
    return rows.order_by("-waiting_count", "-id")


def narrowed(filters: ErrorFilter) -> QuerySet[ErrorGroup]:
    """The causes of all errors that a filter may select."""
    rows = ErrorGroup.objects.within(filters.scope)
    if filters.scope.parts:
        rows = rows.filter(pk__in=_visible(filters.scope).values("cause"))
    if filters.cause is not None:
        rows = rows.filter(pk=filters.cause)
    if filters.map_id is not None:
        rows = rows.filter(table_map=filters.map_id)
    if filters.direction:
        rows = rows.filter(direction=filters.direction)
    if filters.code:
        rows = rows.filter(code=filters.code)
    return owned(rows, filters.owner)


def known_total(filters: ErrorFilter) -> int | None:
    """How many errors the filter selects, from the counts of causes; None where they
    do not say."""
    column = COUNTED.get(filters.state)
    if column is None or filters.key or filters.value or filters.scope.parts:
        return None
    number = Coalesce(Sum(column), 0)
    if filters.state == ErrorState.OPEN.value:
        number = Coalesce(Sum(F("waiting_count") - F("retrying_count")), 0)
    return int(narrowed(filters).order_by().aggregate(number=number)["number"])


def cause_of(filters: ErrorFilter) -> ErrorGroup | None:
    """The one cause the list is narrowed to."""
    if filters.cause is None:
        return None
    return (
        ErrorGroup.objects.within(filters.scope)
        .select_related("table_map")
        .filter(pk=filters.cause)
        .first()
    )


def _visible(scope: Scope) -> QuerySet[SyncError]:
    """All errors within the limits, whose number no cause keeps."""
    return SyncError.objects.within(scope).order_by()


def counted(causes: Iterable[ErrorGroup], scope: Scope) -> list[ErrorGroup]:
    """Causes whose numbers are those of the errors within the limits."""
    found = list(causes)
    if not scope.parts:
        return found
    retrying = Count("pk", filter=Q(state=ErrorState.RETRYING))
    waiting = Count("pk", filter=Q(state__in=OPEN_ERROR_STATES))
    rows = _visible(scope).filter(cause__in=[one.pk for one in found])
    numbers = {
        pk: counts
        for pk, *counts in rows.values_list("cause").annotate(
            waiting=waiting, retrying=retrying, kept=Count("pk")
        )
    }
    for one in found:
        counts = numbers.get(one.pk, [0, 0, 0])
        one.waiting_count, one.retrying_count, one.kept_count = counts
    return found


def open_counts(
    maps: Sequence[int] | None = None, user: Any = None
) -> dict[int, tuple[int, int]]:
    """Open errors, and those of them that are being retried, by map id."""
    scope = scope_of(user)
    if scope.parts:
        rows = _visible(scope).filter(state__in=OPEN_ERROR_STATES)
        retried = Count("pk", filter=Q(state=ErrorState.RETRYING))
        by_map = rows.values_list("table_map").annotate(
            waiting=Count("pk"), retried=retried
        )
        return {map_id: (waiting, retrying) for map_id, waiting, retrying in by_map}
    rows = ErrorGroup.objects.within(scope).filter(waiting_count__gt=0)
    if maps is not None:
        rows = rows.filter(table_map__in=maps)
    summed = (
        rows.order_by()
        .values_list("table_map")
        .annotate(waiting=Sum("waiting_count"), retrying=Sum("retrying_count"))
    )
    return {map_id: (waiting, retrying) for map_id, waiting, retrying in summed}


@dataclass(frozen=True)
class Listed:
    """A cause in the list: how it passes, its last day, and other maps that have it.
    `trend` counts all companies: None for who is limited to some."""

    cause: ErrorGroup
    recovery: str
    trend: Trend | None
    others: Sequence[ErrorGroup]


def listed(shown: Iterable[ErrorGroup], scope: Scope = EVERYTHING) -> list[Listed]:
    """What the list says of each of these causes."""
    causes = counted(shown, scope)
    trends = {} if scope.parts else by_hour(one.pk for one in causes)
    same = elsewhere(causes, scope)
    return [
        Listed(
            one,
            recovery_of(one.code).value,
            trends.get(one.pk),
            [
                other
                for other in same[one.signature]
                if other.table_map_id != one.table_map_id
            ],
        )
        for one in causes
    ]


@dataclass(frozen=True)
class Explained:
    """A cause with what its code means, how it passes, and some of its records."""

    cause: ErrorGroup
    meaning: str
    cure: str
    recovery: str
    samples: Sequence[SyncError]
    trend: Trend | None
    elsewhere: Sequence[ErrorGroup]
    comments: Sequence[CauseComment]


def explained(cause_id: int, scope: Scope = EVERYTHING) -> Explained | None:
    """One cause, or None when there is none."""
    chosen = ErrorGroup.objects.select_related("table_map", "assigned_to")
    cause = chosen.filter(pk=cause_id).first()
    if cause is None:
        return None
    counted([cause], scope)
    known = CODES.get(cause.code)
    return Explained(
        cause,
        known.meaning if known else "",
        known.cure if known else "",
        recovery_of(cause.code).value,
        samples(cause, scope),
        None if scope.parts else by_day(cause.pk),
        [one for one in elsewhere([cause], scope)[cause.signature] if one != cause],
        list(cause.comments.select_related("user").order_by("-id")[:COMMENTS]),
    )


def elsewhere(
    shown: Sequence[ErrorGroup], scope: Scope = EVERYTHING
) -> dict[str, list[ErrorGroup]]:
    """The causes with open errors, in any map and direction, that are the same as these
    by their signature; one query."""
    found: dict[str, list[ErrorGroup]] = {one.signature: [] for one in shown}
    others = (
        ErrorGroup.objects.within(scope)
        .filter(signature__in=list(found), waiting_count__gt=0)
        .select_related("table_map")
        .order_by("table_map__name", "direction")
    )
    for one in counted(others, scope):
        if one.waiting_count:
            found[one.signature].append(one)
    return found


def samples(cause: ErrorGroup, scope: Scope = EVERYTHING) -> list[SyncError]:
    """The newest errors of a cause, open ones if there are any."""
    rows = SyncError.objects.within(scope).filter(cause=cause).order_by("-id")
    if cause.waiting_count:
        rows = rows.filter(state__in=OPEN_ERROR_STATES)
    return list(rows[:SAMPLES])


def _open_samples(ids: Sequence[int]) -> dict[int, list[SyncError]]:
    """The newest open errors of each cause, in one query."""
    found: dict[int, list[SyncError]] = defaultdict(list)
    for error in SyncError.objects.raw(_OPEN_SAMPLES, [list(ids), SAMPLES]):
        found[error.cause_id or 0].append(error)
    return found


def documents(causes: Iterable[ErrorGroup]) -> list[dict[str, Any]]:
    """Causes as `dw errors --by-cause --json` gives them."""
    chosen = list(causes)
    found = _open_samples([cause.pk for cause in chosen])
    trends = by_hour(cause.pk for cause in chosen)
    return [
        {
            "id": cause.pk,
            "map": cause.table_map.name,
            "direction": cause.direction,
            "code": cause.code,
            "column": cause.column,
            "text": cause.text,
            "recovery": recovery_of(cause.code).value,
            "open": cause.waiting_count,
            "retrying": cause.retrying_count,
            "kept": cause.kept_count,
            "first_seen": cause.first_seen,
            "last_seen": cause.last_seen,
            "assigned_to": cause.assigned_to.get_username()
            if cause.assigned_to
            else None,
            "trend": list(trends[cause.pk].numbers),
            "samples": [
                {
                    "id": error.pk,
                    "key": error.key,
                    "message": error.message,
                    "source_row": error.source_row,
                }
                for error in found[cause.pk]
            ],
        }
        for cause in chosen
    ]
