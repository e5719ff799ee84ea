"""What is going on: connection sets, streams and maps in a fixed number of queries.

The dashboard, the map list and the map page read this; `dw status` has its own,
smaller document in `portal.maps.queries`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, QuerySet
from django.utils import timezone

from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.maps.models import Leg, TableMap
from portal.maps.queries import STALE_AFTER
from portal.maps.states import allowed_actions
from portal.runs.models import InitialSyncRun
from portal.sync.models import QueuedChange

LATE_AFTER_SECONDS = 30.0

MOVING_STATES = ("initializing", "running", "resuming")


@dataclass(frozen=True)
class StreamStatus:
    """One stream. `state` is what it reports, or `silent` when nothing has been
    heard from it though it should be working."""

    id: int
    source: str
    state: str
    message: str
    lag_seconds: float | None
    lag_bytes: int | None
    last_change_at: datetime | None
    heartbeat_at: datetime | None

    @property
    def needs_you(self) -> bool:
        """True when the stream will not mend by itself."""
        return self.state in ("down", "silent")


@dataclass(frozen=True)
class LegStatus:
    """One direction of a map and the age of its oldest unapplied change."""

    direction: str
    mode: str
    lag_seconds: float | None


@dataclass(frozen=True)
class MapStatus:
    """One map as every list shows it."""

    map: TableMap
    connection_set: str
    legs: tuple[LegStatus, ...]
    open_errors: int
    retrying: int
    queued: int
    oldest_queued_at: datetime | None
    health: str
    reason: str

    @property
    def version(self) -> str:
        """The current version, with its publisher."""
        return str(self.map.version) if self.map.version else ""

    @property
    def actions(self) -> tuple[str, ...]:
        """What an administrator can do with the map now."""
        return tuple(action.value for action in allowed_actions(self.map.state))

    @property
    def worst_lag(self) -> float | None:
        """The larger lag of both directions."""
        lags = [leg.lag_seconds for leg in self.legs if leg.lag_seconds is not None]
        return max(lags, default=None)


@dataclass(frozen=True)
class SetStatus:
    """One connection set with its streams and maps."""

    connection_set: ConnectionSet
    streams: tuple[StreamStatus, ...]
    maps: tuple[MapStatus, ...]

    @property
    def state(self) -> str:
        """The worst health word of the set's streams and maps."""
        words = {status.health for status in self.maps}
        if any(stream.needs_you for stream in self.streams):
            words.add("needs_you")
        for word in ("needs_you", "late", "incomplete", "on_time", "paused"):
            if word in words:
                return word
        return "off"


@dataclass(frozen=True)
class Verdict:
    """The whole in one sentence, with why, for the top of the dashboard."""

    tone: str
    icon: str
    sentence: str
    why: str = ""


def connection_sets() -> list[SetStatus]:
    """Everything, in seven queries however many maps there are."""
    sets = list(
        ConnectionSet.objects.select_related("finops", "dataverse").order_by("name")
    )
    streams = _streams()
    maps: dict[int, list[MapStatus]] = defaultdict(list)
    for status in _map_statuses(_maps(), streams):
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
) -> list[MapStatus]:
    """The maps that match, in the order they run."""
    rows = _maps()
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
    return _map_statuses(rows, _streams())


def map_status(map_id: int) -> MapStatus | None:
    """One map, or None."""
    found = map_statuses([map_id])
    return found[0] if found else None


def verdict(sets: list[SetStatus]) -> Verdict:
    """One sentence: does anything need a person, and what."""
    maps = [status for one in sets for status in one.maps]
    stuck = [
        (one, stream) for one in sets for stream in one.streams if stream.needs_you
    ]
    needy = [status for status in maps if status.health == "needs_you"]
    if not sets:
        return Verdict("off", "link_off", "Nothing is linked yet")
    if stuck:
        return Verdict(
            "bad",
            "error",
            _many(len(stuck), "stream needs you", "streams need you"),
            "; ".join(
                f"{one.connection_set.name}: "
                f"{stream.message or 'no worker has reported for a while'}"
                for one, stream in stuck
            ),
        )
    if needy:
        return Verdict(
            "bad",
            "error",
            _many(len(needy), "map needs you", "maps need you"),
            "; ".join(f"{status.map.name}: {status.reason}" for status in needy[:5]),
        )
    if not maps:
        return Verdict("off", "account_tree", "There are no maps yet")
    moving = [status for status in maps if status.map.state in MOVING_STATES]
    late = [status for status in moving if status.health == "late"]
    if late:
        return Verdict(
            "wait",
            "schedule",
            _many(len(late), "map is late", "maps are late"),
            "Changes arrive, but more slowly than they are made.",
        )
    copying = sum(status.map.state == "initializing" for status in maps)
    paused = sum(status.map.state == "paused" for status in maps)
    if not moving:
        if paused:
            return Verdict(
                "wait",
                "pause_circle",
                _many(paused, "map is paused", "maps are paused"),
            )
        return Verdict("off", "stop_circle", "No map is running")
    parts = []
    if copying:
        parts.append(_many(copying, "map is being copied", "maps are being copied"))
    if paused:
        parts.append(_many(paused, "map is paused", "maps are paused"))
    idle = sum(status.map.state == "not_running" for status in maps)
    if idle:
        parts.append(_many(idle, "map is not running", "maps are not running"))
    return Verdict("good", "check_circle", "Everything is moving", _sentence(parts))


def _maps() -> QuerySet[TableMap]:
    return TableMap.objects.select_related("connection_set", "version").order_by(
        "connection_set__name", "run_order", "name"
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
    for stream in Stream.objects.order_by("connection_set_id", "-source"):
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
    heard = [moment for moment in (stream.heartbeat_at, since) if moment is not None]
    silence = now - max(heard) if heard else timedelta(0)
    if should_work and silence > STALE_AFTER and state != "down":
        state, lag = "silent", max(lag or 0.0, silence.total_seconds())
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
        last_change_at=stream.last_change_at,
        heartbeat_at=stream.heartbeat_at,
    )


def _map_statuses(
    rows: QuerySet[TableMap], streams: Mapping[int, Mapping[str, StreamStatus]]
) -> list[MapStatus]:
    maps = list(rows)
    ids = [one.pk for one in maps]
    errors: dict[int, dict[str, int]] = defaultdict(dict)
    for map_id, state, count in (
        SyncError.objects.filter(table_map__in=ids, state__in=OPEN_ERROR_STATES)
        .values_list("table_map", "state")
        .annotate(count=Count("id"))
        .order_by()
    ):
        errors[map_id][state] = count
    queues: dict[tuple[int, str], tuple[int, datetime]] = {}
    for map_id, direction, count, oldest in (
        QueuedChange.objects.filter(table_map__in=ids)
        .values_list("table_map", "direction")
        .annotate(count=Count("id"), oldest=Min("committed_at"))
        .order_by()
    ):
        queues[map_id, direction] = (count, oldest)
    legs: dict[int, list[Leg]] = defaultdict(list)
    for leg in Leg.objects.filter(table_map__in=ids).order_by("-direction"):
        legs[leg.table_map_id].append(leg)
    failed_runs = _last_runs_that_failed(
        [one.pk for one in maps if one.state == "not_running"]
    )
    return [
        _map_status(
            one,
            legs[one.pk],
            streams.get(one.connection_set_id, {}),
            errors[one.pk],
            queues,
            failed_runs.get(one.pk, ""),
        )
        for one in maps
    ]


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
    errors: Mapping[str, int],
    queues: Mapping[tuple[int, str], tuple[int, datetime]],
    failed_run: str,
) -> MapStatus:
    now = timezone.now()
    shown: list[LegStatus] = []
    queued = 0
    oldest_of_all: datetime | None = None
    for direction in ("finops_to_dataverse", "dataverse_to_finops"):
        count, oldest = queues.get((one.pk, direction), (0, None))
        queued += count
        if oldest is not None and (oldest_of_all is None or oldest < oldest_of_all):
            oldest_of_all = oldest
    for leg in legs:
        if leg.mode == "off":
            continue
        stream = streams.get(leg.direction.partition("_to_")[0])
        lag = stream.lag_seconds if stream is not None else None
        waiting = queues.get((one.pk, leg.direction))
        if waiting is not None:
            lag = max(lag or 0.0, (now - waiting[1]).total_seconds())
        shown.append(LegStatus(leg.direction, leg.mode, lag))
    open_errors = sum(errors.values())
    retrying = errors.get("retrying", 0)
    lags = [leg.lag_seconds for leg in shown if leg.lag_seconds is not None]
    health, reason = _health(
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
        oldest_queued_at=oldest_of_all,
        health=health,
        reason=reason,
    )


def _health(
    one: TableMap,
    streams: Iterable[StreamStatus],
    *,
    open_errors: int,
    retrying: int,
    worst_lag: float,
    failed_run: str,
) -> tuple[str, str]:
    """A health word of the pages, and why a person is needed."""
    if one.state == "not_running" and (one.state_reason or failed_run):
        return "needs_you", one.state_reason or failed_run
    if one.state != "not_running" and one.state_reason:
        return "needs_you", one.state_reason
    if open_errors > retrying:
        return "needs_you", _many(open_errors, "open error", "open errors")
    if one.state == "not_running":
        return "off", ""
    if one.state == "paused":
        return "paused", ""
    if retrying or one.state != "running":
        return "incomplete", ""
    if any(stream.state == "retrying" for stream in streams):
        return "incomplete", ""
    if worst_lag > LATE_AFTER_SECONDS:
        return "late", ""
    return "on_time", ""


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _sentence(parts: list[str]) -> str:
    return f"{', '.join(parts)}." if parts else ""
