"""Errors that need not wait any longer: what they waited for is settled."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.utils import timezone

from portal.errors.models import OPEN_ERROR_STATES, SyncError
from syncengine.mapping.causes import HELD, WAITING_CODES

AT_ONCE = 20_000
"""So many are made due together; the rest comes by its own back-off."""

_LET_GO = """
UPDATE errors_syncerror h SET not_before = %(now)s
FROM maps_tablemap m
WHERE m.id = h.table_map_id AND m.connection_set_id = ANY(%(sets)s)
  AND h."group" = ANY(%(groups)s) AND h."group" <> ''
  AND h.state IN ('open', 'retrying') AND h.code = %(held)s
  AND NOT EXISTS (
    SELECT FROM errors_syncerror c JOIN maps_tablemap cm ON cm.id = c.table_map_id
    WHERE c."group" = h."group" AND cm.connection_set_id = m.connection_set_id
      AND c.state IN ('open', 'retrying') AND c.code <> %(held)s)
"""


def let_go(connection_sets: Sequence[int], groups: Sequence[str]) -> None:
    """Make records due that were held back with their source transaction, where the
    last one that was refused itself is settled."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LET_GO,
            {
                "now": timezone.now(),
                "sets": list(connection_sets),
                "groups": list(groups),
                "held": HELD,
            },
        )


def wake_waiting(connection_set_id: int) -> int:
    """Make records due that wait for others, since many may just have arrived (an
    initial copy has ended); gives their number."""
    waiting = (
        SyncError.objects.filter(
            table_map__connection_set=connection_set_id,
            state__in=OPEN_ERROR_STATES,
            code__in=sorted(WAITING_CODES - {HELD}),
        )
        .order_by("pk")
        .values("pk")[:AT_ONCE]
    )
    return SyncError.objects.filter(pk__in=waiting).update(not_before=timezone.now())
