"""Adds up what streams carry over: records by map and outcome, and how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import connection

from syncengine.latency import Latencies
from syncengine.ports import ConflictRecord, StreamReport

_ROWS = """
INSERT INTO sync_rowcount AS c (table_map_id, direction, outcome, rows)
SELECT n.map_id, %s, n.outcome, n.rows
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS n(map_id, outcome, rows)
JOIN maps_tablemap m ON m.id = n.map_id
ON CONFLICT (table_map_id, direction, outcome) DO UPDATE
SET rows = c.rows + excluded.rows
"""

_LATENCY = """
INSERT INTO sync_streamlatency AS l (stream_id, counts, seconds)
VALUES (%s, %s::bigint[], %s)
ON CONFLICT (stream_id) DO UPDATE SET
    counts = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY number)
              FROM unnest(l.counts, excluded.counts)
              WITH ORDINALITY AS t(a, b, number)),
    seconds = l.seconds + excluded.seconds
"""


CONFLICT = "conflict"


def add_conflicts(conflicts: Sequence[ConflictRecord]) -> None:
    """Add to the number of conflicts of each map."""
    counts = Counter((one.map_id, one.direction.value) for one in conflicts)
    with connection.cursor() as cursor:
        for (map_id, direction), number in sorted(counts.items()):
            cursor.execute(_ROWS, [direction, [map_id], [CONFLICT], [number]])


def add(stream_id: int, direction: str, report: StreamReport) -> None:
    """Add what a stream has done since its last report."""
    written = [
        (map_id, outcome, rows)
        for map_id, counts in sorted(report.written.items())
        for outcome, rows in sorted(counts.items())
    ]
    with connection.cursor() as cursor:
        if written:
            maps, outcomes, rows = (
                list(column) for column in zip(*written, strict=True)
            )
            cursor.execute(_ROWS, [direction, maps, outcomes, rows])
        latencies: Latencies | None = report.latencies
        if latencies is not None and any(latencies.counts):
            values = [stream_id, latencies.counts, latencies.seconds]
            cursor.execute(_LATENCY, values)
