"""What alert rules look at: one query for a measure, however many maps there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet, Sum

from portal.alerts.models import EVENTS, AlertRule, Measure
from portal.environments.models import ConnectionSet, Stream, StreamState
from portal.errors.models import OPEN_ERROR_STATES, ErrorState, SyncError
from portal.maps.models import MapState, TableMap
from portal.maps.queries import stream_state
from portal.sync.models import QueuedChange


@dataclass(frozen=True)
class Reading:
    """What a rule found of one map or one stream; `words` is the value for people."""

    connection_set_id: int
    value: float
    words: str
    table_map_id: int | None = None
    about: str = ""
    cause_id: int | None = None


def read(rule: AlertRule, now: datetime) -> list[Reading]:
    """What the rule's measure is now, for each map or stream it counts for; those
    where it is zero may be left out. Events have nothing to measure."""
    if rule.measure in EVENTS:
        return []
    return _MEASURES[Measure(rule.measure)](rule, now)


def _maps(rule: AlertRule) -> dict[int, int]:
    """The maps a rule counts for, with their connection sets."""
    maps = TableMap.objects.all()
    if rule.table_map_id is not None:
        maps = maps.filter(pk=rule.table_map_id)
    elif rule.connection_set_id is not None:
        maps = maps.filter(connection_set=rule.connection_set_id)
    return dict(maps.values_list("pk", "connection_set_id"))


def _errors(rule: AlertRule, now: datetime) -> list[Reading]:
    since = now - timedelta(minutes=rule.window_minutes)
    maps = _maps(rule)
    rows = SyncError.objects.filter(
        Q(first_seen__gte=since) | Q(state__in=OPEN_ERROR_STATES),
        table_map__in=list(maps),
        state__in=ErrorState.values,
        last_seen__gte=since,
    )
    codes = [code.strip() for code in rule.codes.split(",") if code.strip()]
    if codes:
        rows = rows.filter(code__in=codes)
    counts = (
        rows.order_by().values_list("table_map", "cause").annotate(number=Count("pk"))
    )
    of_map: dict[int, list[tuple[int, int | None]]] = {}
    for map_id, cause_id, number in counts:
        of_map.setdefault(map_id, []).append((number, cause_id))
    return [_errors_of(rule, maps[one], one, causes) for one, causes in of_map.items()]


def _errors_of(
    rule: AlertRule, set_id: int, map_id: int, causes: list[tuple[int, int | None]]
) -> Reading:
    """All errors of a map, and the cause most of them have."""
    number = sum(count for count, _ in causes)
    return Reading(
        set_id,
        number,
        f"{number:,} {'error' if number == 1 else 'errors'} within "
        f"{rule.window_minutes} minutes",
        map_id,
        cause_id=max(causes, key=lambda one: one[0])[1],
    )


def _queues(
    rule: AlertRule, value: Callable[[QuerySet[QueuedChange]], Mapping[int, float]]
) -> list[tuple[int, int, float]]:
    maps = _maps(rule)
    rows = QueuedChange.objects.filter(table_map__in=list(maps)).order_by()
    return [(maps[map_id], map_id, found) for map_id, found in value(rows).items()]


def _queue_changes(rule: AlertRule, now: datetime) -> list[Reading]:
    found = _queues(
        rule,
        lambda rows: dict(rows.values_list("table_map").annotate(found=Count("pk"))),
    )
    return [
        Reading(set_id, value, f"{value:,.0f} queued changes", map_id)
        for set_id, map_id, value in found
    ]


def _queue_bytes(rule: AlertRule, now: datetime) -> list[Reading]:
    found = _queues(
        rule,
        lambda rows: dict(rows.values_list("table_map").annotate(found=Sum("size"))),
    )
    return [
        Reading(set_id, value, f"{value:,.0f} bytes queued", map_id)
        for set_id, map_id, value in found
    ]


def _queue_minutes(rule: AlertRule, now: datetime) -> list[Reading]:
    found = _queues(
        rule,
        lambda rows: {
            map_id: (now - oldest).total_seconds() / 60
            for map_id, oldest in rows.values_list("table_map").annotate(
                found=Min("committed_at")
            )
        },
    )
    return [
        Reading(set_id, value, f"a change queued for {value:,.0f} minutes", map_id)
        for set_id, map_id, value in found
    ]


def _streams(rule: AlertRule) -> list[Stream]:
    """Streams of the rule's connection sets while a map of theirs is in use."""
    rows = Stream.objects.filter(
        connection_set__in=ConnectionSet.objects.filter(
            Q(maps__in=list(_maps(rule))) & ~Q(maps__state=MapState.NOT_RUNNING)
        )
    )
    return list(rows.distinct())


def _lag(rule: AlertRule, now: datetime) -> list[Reading]:
    return [
        Reading(
            stream.connection_set_id,
            stream.lag_seconds,
            f"{stream.lag_seconds:,.0f} seconds of lag from {stream.source}",
            about=f"from {stream.source}",
        )
        for stream in _streams(rule)
        if stream.lag_seconds is not None
    ]


def _retained(rule: AlertRule, now: datetime) -> list[Reading]:
    return [
        Reading(
            stream.connection_set_id,
            stream.lag_bytes,
            f"{stream.lag_bytes:,} bytes of log kept by {stream.source}",
            about=f"from {stream.source}",
        )
        for stream in _streams(rule)
        if stream.lag_bytes is not None
    ]


def _down(rule: AlertRule, now: datetime) -> list[Reading]:
    found = []
    for stream in _streams(rule):
        healthy = stream.state == StreamState.RUNNING
        heard = stream.heartbeat_at
        if healthy and stream_state(stream, now) is StreamState.RUNNING:
            continue
        since = stream.running_at or heard
        if since is None:
            continue
        minutes = (now - since).total_seconds() / 60
        found.append(
            Reading(
                stream.connection_set_id,
                minutes,
                f"the stream from {stream.source} has not run for {minutes:,.0f} "
                "minutes",
                about=f"from {stream.source}",
            )
        )
    return found


_MEASURES: Mapping[Measure, Callable[[AlertRule, datetime], list[Reading]]] = {
    Measure.ERRORS: _errors,
    Measure.QUEUE_CHANGES: _queue_changes,
    Measure.QUEUE_BYTES: _queue_bytes,
    Measure.QUEUE_MINUTES: _queue_minutes,
    Measure.LAG_SECONDS: _lag,
    Measure.RETAINED_BYTES: _retained,
    Measure.STREAM_DOWN: _down,
}
