"""What Prometheus reads: the state in the portal's database, whoever is asked.

Every number comes from a row that is kept anyway; nothing large is counted, so a scrape
costs the same with a million errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from portal.environments.models import Stream, StreamState
from portal.maps.models import MapState, TableMap
from portal.operations import queries
from portal.operations.models import Kind
from portal.release import VERSION
from portal.runs.models import ACTIVE_RUN_STATES, LegRun
from portal.sync.models import RowCount, StreamLatency
from syncengine.latency import BOUNDS

_ERRORS = """
SELECT s.name, m.name, g.direction, g.code,
       sum(g.waiting_count + g.retrying_count)
FROM errors_errorgroup g
JOIN maps_tablemap m ON m.id = g.table_map_id
JOIN environments_connectionset s ON s.id = m.connection_set_id
WHERE g.waiting_count + g.retrying_count > 0
GROUP BY 1, 2, 3, 4
"""

_QUEUES = """
SELECT s.name, m.name, q.direction, count(*), sum(q.size), min(q.committed_at)
FROM sync_queuedchange q
JOIN maps_tablemap m ON m.id = q.table_map_id
JOIN environments_connectionset s ON s.id = m.connection_set_id
GROUP BY 1, 2, 3
"""


def text() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Portal())
    return generate_latest(registry)


class _Portal(Collector):
    def collect(self) -> Iterator[Metric]:
        """Read everything anew."""
        now = timezone.now()
        yield from _processes(now)
        yield from _streams(now)
        yield from _latency()
        yield from _maps()
        yield from _rows()
        yield from _queues(now)
        yield from _copies()

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: a registry need not ask the database."""
        return ()


def _processes(now: datetime) -> Iterator[Metric]:
    status = queries.system()
    info = GaugeMetricFamily(
        "dualwrite_info", "The portal's version.", labels=["version"]
    )
    info.add_metric([VERSION], 1)
    yield info
    alive = GaugeMetricFamily(
        "dualwrite_processes", "Processes that were heard of lately.", labels=["kind"]
    )
    heard = GaugeMetricFamily(
        "dualwrite_process_heartbeat_age_seconds",
        "Seconds since a process was heard of.",
        labels=["kind", "host", "process"],
    )
    for kind in (Kind.WEB, Kind.WORKER, Kind.BEAT):
        mine = [one for one in status.processes if one.process.kind == kind]
        alive.add_metric([kind.value], sum(not one.silent for one in mine))
        for one in mine:
            row = one.process
            age = (now - row.seen_at).total_seconds()
            heard.add_metric([kind.value, row.host, str(row.number)], max(0.0, age))
    yield alive
    yield heard
    ticks = GaugeMetricFamily(
        "dualwrite_beat_tick_age_seconds",
        "Seconds since a worker last did what beat asks for every two seconds.",
    )
    if status.ticked_at is not None:
        ticks.add_metric([], max(0.0, (now - status.ticked_at).total_seconds()))
    yield ticks
    up = GaugeMetricFamily("dualwrite_broker_up", "1 when the broker answers.")
    up.add_metric([], status.queues is not None)
    yield up
    waiting = GaugeMetricFamily(
        "dualwrite_tasks_waiting", "Tasks that wait for a worker.", labels=["queue"]
    )
    for queue, number in (status.queues or {}).items():
        waiting.add_metric([queue], number)
    yield waiting


def _streams(now: datetime) -> Iterator[Metric]:
    labels = ["connection_set", "source"]
    running = GaugeMetricFamily(
        "dualwrite_stream_running", "1 while the stream works.", labels=labels
    )
    gauges = {
        name: GaugeMetricFamily(f"dualwrite_stream_{name}", words, labels=labels)
        for name, words in (
            ("lag_seconds", "Age of the oldest change not carried over yet."),
            ("lag_bytes", "Source log not read yet."),
            ("retained_bytes", "Log the source keeps for the stream."),
            ("heartbeat_age_seconds", "Seconds since the stream reported."),
            ("canary_seconds", "How long the last sign of life took, end to end."),
            ("canary_age_seconds", "Seconds since it arrived."),
        )
    }
    for stream in Stream.objects.filter(connection_set__retired_at=None).select_related(
        "connection_set"
    ):
        names = [stream.connection_set.name, stream.source]
        running.add_metric(names, stream.state == StreamState.RUNNING)
        values = {
            "lag_seconds": stream.lag_seconds,
            "lag_bytes": stream.lag_bytes,
            "retained_bytes": stream.retained_bytes,
            "heartbeat_age_seconds": _age(stream.heartbeat_at, now),
            "canary_seconds": stream.canary_seconds,
            "canary_age_seconds": _age(stream.canary_at, now),
        }
        for name, value in values.items():
            if value is not None:
                gauges[name].add_metric(names, value)
    yield running
    yield from gauges.values()


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _latency() -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "dualwrite_commit_to_visible_seconds",
        "From the commit on the source until the change is visible on the target.",
        labels=["connection_set", "source"],
    )
    for row in StreamLatency.objects.select_related("stream__connection_set"):
        total = 0
        buckets: list[tuple[str, float]] = []
        names = [*map(str, BOUNDS), "+Inf"]
        for name, number in zip(names, row.counts, strict=False):
            total += number
            buckets.append((name, total))
        stream = row.stream
        family.add_metric(
            [stream.connection_set.name, stream.source],
            buckets=buckets,
            sum_value=row.seconds,
        )
    yield family


def _maps() -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "dualwrite_map_state", "1 for the state a map is in.", labels=[*_MAP, "state"]
    )
    changed = GaugeMetricFamily(
        "dualwrite_map_last_change_timestamp_seconds",
        "When the last change of a map was carried over.",
        labels=_MAP,
    )
    for name, map_name, state, moment in TableMap.objects.order_by().values_list(
        "connection_set__name", "name", "state", "last_change_at"
    ):
        states.add_metric([name, map_name, MapState(state).value], 1)
        if moment is not None:
            changed.add_metric([name, map_name], moment.timestamp())
    yield states
    yield changed
    errors = GaugeMetricFamily(
        "dualwrite_open_errors",
        "Records in the error list.",
        labels=[*_MAP, "direction", "code"],
    )
    for *names, number in _fetch(_ERRORS):
        errors.add_metric([str(name) for name in names], float(number))
    yield errors


_MAP = ["connection_set", "map"]


def _rows() -> Iterator[Metric]:
    rows = CounterMetricFamily(
        "dualwrite_rows",
        "Records that live sync wrote, by what became of them, and conflicts.",
        labels=[*_MAP, "direction", "outcome"],
    )
    for *names, number in RowCount.objects.order_by().values_list(
        "table_map__connection_set__name",
        "table_map__name",
        "direction",
        "outcome",
        "rows",
    ):
        rows.add_metric(names, number)
    yield rows


def _queues(now: datetime) -> Iterator[Metric]:
    labels = [*_MAP, "direction"]
    changes = GaugeMetricFamily(
        "dualwrite_queued_changes", "Changes that wait.", labels=labels
    )
    size = GaugeMetricFamily("dualwrite_queued_bytes", "Their size.", labels=labels)
    age = GaugeMetricFamily(
        "dualwrite_queue_age_seconds", "Age of the oldest of them.", labels=labels
    )
    for name, map_name, direction, number, held, oldest in _fetch(_QUEUES):
        names = [str(name), str(map_name), str(direction)]
        changes.add_metric(names, float(number))
        size.add_metric(names, float(held))
        age.add_metric(names, max(0.0, (now - oldest).total_seconds()))
    yield changes
    yield size
    yield age


def _copies() -> Iterator[Metric]:
    labels = [*_MAP, "direction", "company"]
    planned = GaugeMetricFamily(
        "dualwrite_copy_rows_planned", "Rows of running copies.", labels=labels
    )
    done = GaugeMetricFamily(
        "dualwrite_copy_rows_done", "Rows of running copies done.", labels=labels
    )
    for leg in LegRun.objects.filter(run__state__in=ACTIVE_RUN_STATES).select_related(
        "run__table_map__connection_set"
    ):
        table_map = leg.run.table_map
        names = [
            table_map.connection_set.name,
            table_map.name,
            leg.direction,
            leg.legal_entity,
        ]
        planned.add_metric(names, leg.total or 0)
        done.add_metric(names, leg.exported)
    yield planned
    yield done


def _fetch(query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
