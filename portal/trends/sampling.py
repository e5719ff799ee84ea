"""Takes the samples that the dashboard's charts are drawn from, and forgets old ones.

Streams and copies count what they do anyway; a sample is the difference to the one
before. So a stream is slowed by nothing, and a missed sample loses no record.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from portal.maps.queries import STALE_AFTER
from portal.trends.models import Span, Trend

KEPT = {
    Span.MINUTE: timedelta(hours=2),
    Span.QUARTER: timedelta(days=2),
    Span.TWO_HOURS: timedelta(days=15),
}
"""Twice what its chart shows."""

LOCK = 0x7472656E64
"""Our advisory lock ("trend"): two workers must not add one difference twice."""

_ADD = """
WITH now_total AS (
    SELECT s.id,
        (SELECT coalesce(sum(c.rows), 0) FROM sync_rowcount c
         JOIN maps_tablemap m ON m.id = c.table_map_id
         WHERE m.connection_set_id = s.connection_set_id
           AND split_part(c.direction, '_to_', 1) = s.source
           AND c.outcome IN ('inserted', 'updated', 'deleted')) AS carried,
        (SELECT coalesce(sum(l.exported), 0) FROM runs_legrun l
         JOIN runs_initialsyncrun r ON r.id = l.run_id
         JOIN maps_tablemap m ON m.id = r.table_map_id
         WHERE m.connection_set_id = s.connection_set_id
           AND split_part(l.direction, '_to_', 1) = s.source) AS copied,
        CASE WHEN NOT EXISTS (SELECT FROM maps_tablemap m
                WHERE m.connection_set_id = s.connection_set_id
                  AND m.state <> 'not_running') THEN NULL
             WHEN %(now)s - s.heartbeat_at > %(stale)s
                THEN greatest(s.lag_seconds,
                    extract(epoch FROM %(now)s - s.heartbeat_at))
             ELSE s.lag_seconds END AS lag
    FROM environments_stream s
), sample AS (
    SELECT t.id, k.span, t.lag, t.carried AS carried_total, t.copied AS copied_total,
        date_bin(make_interval(secs => k.span), %(now)s, 'epoch') AS began,
        -- After a pause nobody knows when it was: it shows only in spans longer
        -- than the pause.
        CASE WHEN %(now)s - before.sampled_at <= make_interval(secs => k.span)
            THEN greatest(t.carried - before.carried_total, 0) ELSE 0 END AS carried,
        CASE WHEN %(now)s - before.sampled_at <= make_interval(secs => k.span)
            THEN greatest(t.copied - before.copied_total, 0) ELSE 0 END AS copied
    FROM now_total t CROSS JOIN unnest(%(spans)s::int[]) AS k(span)
    LEFT JOIN LATERAL (
        SELECT sampled_at, carried_total, copied_total FROM trends_trend b
        WHERE b.stream_id = t.id AND b.span = k.span
        ORDER BY began_at DESC LIMIT 1) before ON true
)
INSERT INTO trends_trend AS o (stream_id, span, began_at, sampled_at, carried, copied,
    lag_seconds, carried_total, copied_total)
SELECT id, span, began, %(now)s, carried, copied, lag, carried_total, copied_total
FROM sample
ON CONFLICT (stream_id, span, began_at) DO UPDATE SET
    sampled_at = excluded.sampled_at,
    carried = o.carried + excluded.carried,
    copied = o.copied + excluded.copied,
    lag_seconds = greatest(o.lag_seconds, excluded.lag_seconds),
    carried_total = excluded.carried_total,
    copied_total = excluded.copied_total
"""


def take(now: datetime | None = None) -> bool:
    """Add what was done since the last sample. False when another worker is at it."""
    values = {
        "now": now or timezone.now(),
        "stale": STALE_AFTER,
        "spans": [span.value for span in Span],
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(_ADD, values)
    return True


def forget(now: datetime | None = None) -> int:
    """Delete rows that no chart shows any more; how many."""
    now = now or timezone.now()
    old = Q()
    for span, kept in KEPT.items():
        old |= Q(span=span, began_at__lt=now - kept)
    return Trend.objects.filter(old).delete()[0]
