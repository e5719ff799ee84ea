"""Reads that need more than one query: finding maps by name, the status document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.utils import timezone

from portal.environments.models import ConnectionSet, Stream, StreamState
from portal.errors.models import ErrorGroup
from portal.maps.models import MapState, TableMap
from portal.refusals import NotFound, Refusal
from portal.sync.models import QueuedChange, SetAsideChange

STALE_AFTER = timedelta(seconds=15)
"""A stream reports every second; silent for so long, nobody runs it."""

STALLED_AFTER = timedelta(seconds=30)
"""A sign of life goes through each stream every five seconds; where none has come
through for so long, nothing moves, whatever the stream says of itself."""

_WORST_FIRST = (
    StreamState.DOWN,
    StreamState.SPOOLING,
    StreamState.RETRYING,
    StreamState.STARTING,
    StreamState.STOPPED,
)


def in_run_order(map_ids: Iterable[int]) -> list[TableMap]:
    """These maps as lists and dialogs show them; ids nobody has are passed over."""
    return list(
        TableMap.objects.filter(pk__in=list(map_ids))
        .select_related("connection_set", "version")
        .order_by("connection_set__name", "run_order", "name")
    )


def find_map(name: str) -> TableMap:
    """The map `name`, or `connection_set/name` where several sets have one."""
    maps = TableMap.objects.select_related("connection_set", "version__table_map")
    found = list(maps.filter(name=name))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{m.connection_set.name}/{m.name}" for m in found)
        raise Refusal(
            f"{name} is the name of several maps: say which of {names}.",
            code="ambiguous",
        )
    set_name, slash, map_name = name.partition("/")
    if slash:
        exact = maps.filter(connection_set__name=set_name, name=map_name).first()
        if exact is not None:
            return exact
    known = TableMap.objects.order_by("name").values_list("name", flat=True)[:20]
    hint = f" The maps are: {', '.join(known)}." if known else " There are no maps yet."
    raise NotFound(f"There is no map {name}.{hint}")


def find_maps(names: Iterable[str]) -> list[TableMap]:
    """The maps of these names, each once, in the order given."""
    return list({found.pk: found for found in map(find_map, names)}.values())


def counts_by_map(
    rows: QuerySet[Any], maps: Sequence[TableMap] | None = None
) -> dict[int, int]:
    """How many of `rows` each map has."""
    if maps is not None:
        rows = rows.filter(table_map__in=maps)
    return dict(rows.order_by().values_list("table_map").annotate(number=Count("pk")))


def open_errors(maps: Sequence[TableMap] | None = None) -> dict[int, int]:
    """Open errors by map id, from the counts of their causes."""
    rows = ErrorGroup.objects.filter(waiting_count__gt=0)
    if maps is not None:
        rows = rows.filter(table_map__in=maps)
    return dict(
        rows.order_by().values_list("table_map").annotate(number=Sum("waiting_count"))
    )


def queued_changes(maps: Sequence[TableMap] | None = None) -> dict[int, int]:
    """Queued changes by map id."""
    return counts_by_map(QueuedChange.objects.all(), maps)


def queue_sizes() -> dict[int, dict[str, Any]]:
    """Number, bytes and oldest change of each map's queue, where there is one."""
    rows = (
        QueuedChange.objects.order_by()
        .values("table_map")
        .annotate(number=Count("pk"), bytes=Sum("size"), oldest=Min("committed_at"))
    )
    return {row["table_map"]: row for row in rows}


def _queue(found: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    if found is None:
        return {"queued": 0, "queued_bytes": 0, "queued_seconds": None}
    return {
        "queued": found["number"],
        "queued_bytes": found["bytes"],
        "queued_seconds": round((now - found["oldest"]).total_seconds(), 1),
    }


def stream_state(stream: Stream, now: datetime) -> StreamState:
    """The state a stream is really in: one that fell silent is down."""
    state = StreamState(stream.state)
    if state in (StreamState.STOPPED, StreamState.DOWN):
        return state
    if stream.heartbeat_at is None:
        return StreamState.STARTING
    return StreamState.DOWN if now - stream.heartbeat_at > STALE_AFTER else state


def is_stalled(stream: Stream, now: datetime) -> bool:
    """Whether the stream says that it works while nothing comes through."""
    if stream.state != StreamState.RUNNING or stream.canary_problem:
        return False
    since = stream.canary_at or stream.started_at
    if since is None:
        return False
    if stream.started_at is not None:
        since = max(since, stream.started_at)
    return now - since > STALLED_AFTER


def set_state(maps: Sequence[TableMap], streams: Sequence[StreamState]) -> str:
    """One word for a connection set: that of its worst stream while maps run."""
    if all(table_map.state == MapState.NOT_RUNNING for table_map in maps):
        return StreamState.STOPPED.value
    for state in _WORST_FIRST:
        if state in streams:
            return state.value
    return StreamState.RUNNING.value


def _synchronous(stream: Stream) -> str:
    """Whether commits on the stream's source wait until they are through."""
    mode = getattr(stream, "synchronous", None)
    return "off" if mode is None else str(mode.state)


def status(now: datetime | None = None) -> dict[str, Any]:
    """The document of `dw status --json`."""
    now = now or timezone.now()
    errors, queues = open_errors(), queue_sizes()
    aside = counts_by_map(SetAsideChange.objects.all())
    sets = ConnectionSet.objects.prefetch_related(
        "streams__synchronous", "maps__version"
    )
    document = []
    for connection_set in sets:
        maps, streams = connection_set.maps.all(), connection_set.streams.all()
        states = {stream.pk: stream_state(stream, now) for stream in streams}
        document.append(
            {
                "name": connection_set.name,
                "state": set_state(maps, list(states.values())),
                "paused_at": connection_set.paused_at,
                "streams": [
                    {
                        "source": stream.source,
                        "state": states[stream.pk].value,
                        "lag_seconds": stream.lag_seconds,
                        "lag_bytes": stream.lag_bytes,
                        "retained_bytes": stream.retained_bytes,
                        "message": stream.message,
                        "synchronous": _synchronous(stream),
                        "stalled": is_stalled(stream, now),
                        "canary_at": stream.canary_at.isoformat()
                        if stream.canary_at
                        else None,
                        "canary_seconds": stream.canary_seconds,
                        "canary_problem": stream.canary_problem,
                    }
                    for stream in streams
                ],
                "maps": [
                    {
                        "name": table_map.name,
                        "state": table_map.state,
                        "reason": table_map.state_reason,
                        "version": table_map.version.version
                        if table_map.version
                        else None,
                        "rows_synced": table_map.rows_synced,
                        "open_errors": errors.get(table_map.pk, 0),
                        **_queue(queues.get(table_map.pk), now),
                        "set_aside": aside.get(table_map.pk, 0),
                        "reconcile_needed": table_map.reconcile_reason
                        if table_map.reconcile_needed_at
                        else None,
                    }
                    for table_map in maps
                ],
            }
        )
    return {"connection_sets": document}
