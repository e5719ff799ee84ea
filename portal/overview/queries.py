"""What is going on: connection sets, streams and maps in a fixed number of queries.

The dashboard, the map list and the map page read this; `dw status` has its own,
smaller document in `portal.maps.queries`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.utils import timezone

from portal.accounts.scope import Scope, scope_of
from portal.comparisons.models import Comparison
from portal.comparisons.queries import latest
from portal.environments.models import ConnectionSet, Stream
from portal.errors.causes import open_counts
from portal.maps.models import Leg, TableMap
from portal.maps.queries import STALE_AFTER, is_stalled
from portal.overview.status import (
    LegStatus,
    MapStatus,
    SetStatus,
    StreamStatus,
    judge,
)
from portal.pages import COUNT_LIMIT
from portal.runs.models import InitialSyncRun
from portal.sync.models import QueuedChange
from syncengine.mapping.model import Direction


def connection_sets(user: Any = None) -> list[SetStatus]:
    """Everything a user may see, in nine queries however many maps there are."""
    sets = list(
        ConnectionSet.objects.visible_to(user)
        .select_related("finops", "dataverse")
        .order_by("name")
    )
    streams = _streams()
    maps: dict[int, list[MapStatus]] = defaultdict(list)
    for status in _map_statuses(_maps(user), streams, user):
        maps[status.map.connection_set_id].append(status)
    return [
        SetStatus(
            connection_set=one,
            streams=tuple(streams.get(one.pk, {}).values()),
            maps=tuple(maps[one.pk]),
        )
        for one in sets
    ]


def map_statuses(
    ids: Iterable[int] | None = None,
    *,
    connection_set: str = "",
    state: str = "",
    search: str = "",
    user: Any = None,
) -> list[MapStatus]:
    """The maps that match, in the order they run."""
    rows = _maps(user)
    if ids is not None:
        rows = rows.filter(pk__in=list(ids))
    if connection_set:
        rows = rows.filter(connection_set__name=connection_set)
    if state:
        rows = rows.filter(state=state)
    if search:
        rows = (
            rows.filter(name__icontains=search)
            | rows.filter(version__finops_table__icontains=search)
            | rows.filter(version__dataverse_table__icontains=search)
        )
    return _map_statuses(rows, _streams(), user)


def map_status(map_id: int, user: Any = None) -> MapStatus | None:
    """One map, or None."""
    found = map_statuses([map_id], user=user)
    return found[0] if found else None


def _maps(user: Any) -> QuerySet[TableMap]:
    return (
        TableMap.objects.visible_to(user)
        .select_related("connection_set", "version")
        .order_by("connection_set__name", "run_order", "name")
    )


def _streams() -> dict[int, dict[str, StreamStatus]]:
    """Streams by connection set and source, FinOps first."""
    working_since = dict(
        TableMap.objects.exclude(state="not_running")
        .order_by()
        .values_list("connection_set")
        .annotate(since=Min("state_changed_at"))
    )
    now = timezone.now()
    found: dict[int, dict[str, StreamStatus]] = defaultdict(dict)
    for stream in Stream.objects.select_related("synchronous").order_by(
        "connection_set_id", "-source"
    ):
        found[stream.connection_set_id][stream.source] = _stream_status(
            stream,
            should_work=stream.connection_set_id in working_since,
            since=working_since.get(stream.connection_set_id),
            now=now,
        )
    return found


def _stream_status(
    stream: Stream, *, should_work: bool, since: datetime | None, now: datetime
) -> StreamStatus:
    """Never green while silent: what counts is when it was last heard of."""
    state, lag = stream.state, stream.lag_seconds
    mode = getattr(stream, "synchronous", None)
    heard = [moment for moment in (stream.heartbeat_at, since) if moment is not None]
    silence = now - max(heard) if heard else timedelta(0)
    if should_work and silence > STALE_AFTER and state != "down":
        state, lag = "silent", max(lag or 0.0, silence.total_seconds())
    elif should_work and is_stalled(stream, now):
        state = "stalled"
    elif should_work and state == "stopped":
        state = "starting"
    elif not should_work and state != "down":
        state, lag = "stopped", None
    return StreamStatus(
        id=stream.pk,
        source=stream.source,
        state=state,
        message=stream.message,
        lag_seconds=lag,
        lag_bytes=stream.lag_bytes,
        retained_bytes=stream.retained_bytes,
        last_change_at=stream.last_change_at,
        heartbeat_at=stream.heartbeat_at,
        canary_at=stream.canary_at,
        canary_seconds=stream.canary_seconds,
        canary_problem=stream.canary_problem,
        synchronous=mode.state if mode is not None else "off",
        synchronous_reason=mode.reason if mode is not None else "",
    )


def _map_statuses(
    rows: QuerySet[TableMap],
    streams: Mapping[int, Mapping[str, StreamStatus]],
    user: Any,
) -> list[MapStatus]:
    maps = list(rows)
    ids = [one.pk for one in maps]
    errors = open_counts(ids, user)
    scope = scope_of(user)
    queues = _queues_of_companies(ids, scope) if scope.parts else _queues(ids)
    legs: dict[int, list[Leg]] = defaultdict(list)
    ordinary = Leg.objects.filter(table_map__in=ids, scope=0)
    for leg in ordinary.order_by("-direction"):
        legs[leg.table_map_id].append(leg)
    failed_runs = _last_runs_that_failed(
        [one.pk for one in maps if one.state == "not_running"]
    )
    compared = latest(ids)
    return [
        _map_status(
            one,
            legs[one.pk],
            streams.get(one.connection_set_id, {}),
            errors.get(one.pk, (0, 0)),
            queues,
            failed_runs.get(one.pk, ""),
            compared.get(one.pk),
        )
        for one in maps
    ]


Queues = Mapping[tuple[int, str], tuple[int, int, datetime]]
"""By map and direction: number, bytes and oldest change of the queue."""

QUEUES = """
    SELECT m.id, d.direction, found.number, found.bytes, (
        SELECT q.committed_at FROM sync_queuedchange q
        WHERE q.table_map_id = m.id AND q.direction = d.direction
        ORDER BY q.position, q.ordinal LIMIT 1)
    FROM unnest(%(ids)s::bigint[]) m(id)
    CROSS JOIN unnest(%(directions)s::text[]) d(direction)
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, coalesce(sum(size), 0)::bigint AS bytes FROM (
            SELECT q.size FROM sync_queuedchange q
            WHERE q.table_map_id = m.id AND q.direction = d.direction LIMIT %(limit)s
        ) first) found
"""


def _queues(ids: list[int]) -> Queues:
    """Length and bytes (no further than the limit) and oldest change by map and
    direction."""
    values = {
        "ids": ids,
        "directions": [direction.value for direction in Direction],
        "limit": COUNT_LIMIT + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(QUEUES, values)
        return {
            (map_id, direction): (count, size, oldest)
            for map_id, direction, count, size, oldest in cursor.fetchall()
            if count
        }


def _queues_of_companies(ids: list[int], scope: Scope) -> Queues:
    """The same of the records that somebody may see who is limited to companies."""
    rows = QueuedChange.objects.within(scope).filter(table_map__in=ids).order_by()
    return {
        (map_id, direction): (count, size or 0, oldest)
        for map_id, direction, count, size, oldest in rows.values_list(
            "table_map", "direction"
        ).annotate(Count("pk"), Sum("size"), Min("committed_at"))
    }


def _last_runs_that_failed(ids: list[int]) -> dict[int, str]:
    """The message of each map's last run, where that run failed."""
    last = (
        InitialSyncRun.objects.filter(table_map__in=ids)
        .order_by()
        .values("table_map")
        .annotate(last=Max("id"))
        .values("last")
    )
    return {
        map_id: message or "the initial sync failed"
        for map_id, message in InitialSyncRun.objects.filter(
            pk__in=last, state="failed"
        ).values_list("table_map", "message")
    }


def _map_status(
    one: TableMap,
    legs: list[Leg],
    streams: Mapping[str, StreamStatus],
    errors: tuple[int, int],
    queues: Queues,
    failed_run: str,
    compared: Comparison | None,
) -> MapStatus:
    now = timezone.now()
    shown: list[LegStatus] = []
    queued = queued_bytes = 0
    oldest_of_all: datetime | None = None
    for direction in ("finops_to_dataverse", "dataverse_to_finops"):
        count, size, oldest = queues.get((one.pk, direction), (0, 0, None))
        queued += count
        queued_bytes += size
        if oldest is not None and (oldest_of_all is None or oldest < oldest_of_all):
            oldest_of_all = oldest
    for leg in legs:
        if leg.mode == "off":
            continue
        stream = streams.get(leg.direction.partition("_to_")[0])
        lag = stream.lag_seconds if stream is not None else None
        waiting = queues.get((one.pk, leg.direction))
        if waiting is not None:
            lag = max(lag or 0.0, (now - waiting[2]).total_seconds())
        shown.append(LegStatus(leg.direction, leg.mode, lag))
    open_errors, retrying = errors
    lags = [leg.lag_seconds for leg in shown if leg.lag_seconds is not None]
    health, reason = judge(
        one,
        streams.values(),
        open_errors=open_errors,
        retrying=retrying,
        worst_lag=max(lags, default=0.0),
        failed_run=failed_run,
    )
    return MapStatus(
        map=one,
        connection_set=one.connection_set.name,
        legs=tuple(shown),
        open_errors=open_errors,
        retrying=retrying,
        queued=queued,
        queued_bytes=queued_bytes,
        oldest_queued_at=oldest_of_all,
        health=health,
        reason=reason,
        compared=compared,
    )
