"""The queue of changes: kept in commit order, read in portions, forgotten.

Only `enqueue` adds; it holds the leg's row, as does whoever takes the queue away. Who
locks a map's row as well does so before its legs' and leaves its key free (`no_key`):
the new rows refer to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Q

from portal.maps.models import Leg
from portal.sync.failed_records import key_text
from portal.sync.models import KeptChange, QueuedChange
from syncengine.mapping.model import Direction
from syncengine.ports import LegConfiguration, LegMode, QueuedEntry

_KEEP = """
INSERT INTO sync_queuedchange (table_map_id, direction, position, ordinal,
    transaction_id, committed_at, kind, key, key_text, columns, new, old, size, scope,
    created_at)
SELECT n.table_map_id, n.direction, n.position, n.ordinal, n.transaction_id,
    n.committed_at, n.kind, n.key, n.key_text, n.columns, nullif(n.new, 'null'),
    nullif(n.old, 'null'), n.size, n.scope, now()
FROM jsonb_to_recordset(%s::jsonb) AS n(
    table_map_id bigint, direction text, position text, ordinal integer,
    transaction_id text, committed_at timestamptz, kind text, key jsonb, key_text text,
    columns jsonb, new jsonb, old jsonb, size integer, scope bigint)
ON CONFLICT DO NOTHING
"""

_TOGETHER = """
SELECT q.* FROM unnest(%s::bigint[], %s::text[], %s::bigint[])
    AS leg(map_id, direction, scope)
CROSS JOIN LATERAL (
    SELECT * FROM sync_queuedchange c
    WHERE c.table_map_id = leg.map_id AND c.direction = leg.direction
      AND c.scope = leg.scope
    ORDER BY c.position, c.ordinal LIMIT %s) AS q
ORDER BY q.position, q.ordinal, q.table_map_id LIMIT %s
"""


def enqueue(entries: Sequence[QueuedEntry]) -> None:
    """Keep entries of legs that still queue, once each."""
    wanted = {(entry.map_id, entry.direction.value) for entry in entries}
    with transaction.atomic():
        legs = {
            (leg.table_map_id, leg.direction, leg.scope): leg
            for leg in Leg.objects.select_for_update()
            .filter(_any_leg(wanted))
            .exclude(mode=LegMode.OFF.value)
            .order_by("table_map_id", "pk")
        }
        fresh = [
            entry
            for entry in entries
            if (leg := legs.get(_leg_of(entry))) is not None
            and entry.position > leg.queued_through
        ]
        if fresh:
            with connection.cursor() as cursor:
                rows = [_row_of(entry) for entry in fresh]
                cursor.execute(_KEEP, [json.dumps(rows)])
        newest: dict[tuple[int, str, int], str] = {}
        for entry in fresh:
            key = _leg_of(entry)
            newest[key] = max(newest.get(key, ""), entry.position)
        for key, position in newest.items():
            Leg.objects.filter(pk=legs[key].pk).update(queued_through=position)


def queued(leg: LegConfiguration, limit: int) -> list[QueuedEntry]:
    """The oldest entries in commit order, or whole chains of some keys."""
    if not leg.fold:
        return queued_together([leg], limit)
    rows = QueuedChange.objects.filter(
        table_map_id=leg.map_id, direction=leg.direction.value, scope=leg.scope
    )
    keys = list(
        rows.order_by("key_text").values_list("key_text", flat=True).distinct()[:limit]
    )
    ordered = rows.filter(key_text__in=keys).order_by("key_text", "position", "ordinal")
    return [entry_of(row) for row in ordered]


def queued_together(legs: Sequence[LegConfiguration], limit: int) -> list[QueuedEntry]:
    """The oldest entries of several legs in commit order, whole transactions."""
    maps = [leg.map_id for leg in legs]
    directions = [leg.direction.value for leg in legs]
    scopes = [leg.scope for leg in legs]
    portion = list(
        QueuedChange.objects.raw(
            _TOGETHER, [maps, directions, scopes, limit + 1, limit + 1]
        )
    )
    if len(portion) > limit:
        last = portion[-1].position
        whole = [row for row in portion if row.position != last]
        if not whole:
            wanted = {(leg.map_id, leg.direction.value) for leg in legs}
            whole = list(
                QueuedChange.objects.filter(_any_leg(wanted), position=last).order_by(
                    "ordinal", "table_map"
                )
            )
        portion = whole
    return [entry_of(row) for row in portion]


def queued_kinds(leg: LegConfiguration) -> dict[str, int]:
    """How many changes of each kind wait behind what was approved."""
    rows = QueuedChange.objects.filter(
        table_map_id=leg.map_id,
        direction=leg.direction.value,
        scope=leg.scope,
        position__gt=leg.approved_through,
    )
    return dict(rows.order_by().values_list("kind").annotate(number=Count("pk")))


def dequeue(entry_ids: Sequence[int]) -> None:
    """Forget entries that were applied or recorded as failures."""
    QueuedChange.objects.filter(pk__in=entry_ids)._raw_delete("default")


def _leg_of(entry: QueuedEntry) -> tuple[int, str, int]:
    return entry.map_id, entry.direction.value, entry.scope


def _any_leg(wanted: set[tuple[int, str]]) -> Q:
    condition = Q(pk__in=[])
    for direction, group in groupby(sorted(wanted, key=_second), key=_second):
        ids = [map_id for map_id, _ in group]
        condition |= Q(table_map_id__in=ids, direction=direction)
    return condition


def _second(pair: tuple[int, str]) -> str:
    return pair[1]


def _row_of(entry: QueuedEntry) -> dict[str, Any]:
    values = (*(entry.new or ()), *(entry.old or ()))
    return {
        "table_map_id": entry.map_id,
        "direction": entry.direction.value,
        "position": entry.position,
        "ordinal": entry.ordinal,
        "transaction_id": entry.transaction_id,
        "committed_at": entry.committed_at.isoformat(),
        "kind": entry.kind,
        "key": entry.key,
        "key_text": key_text(entry.key),
        "columns": entry.columns,
        "new": entry.new,
        "old": entry.old,
        "size": sum(len(value) for value in values if value is not None),
        "scope": entry.scope,
    }


def entry_of(row: KeptChange) -> QueuedEntry:
    """A stored change as the engine takes it."""
    return QueuedEntry(
        map_id=row.table_map_id,
        direction=Direction(row.direction),
        position=row.position,
        ordinal=row.ordinal,
        transaction_id=row.transaction_id,
        committed_at=row.committed_at,
        kind=row.kind,
        key=tuple(row.key),
        columns=tuple(row.columns),
        new=None if row.new is None else tuple(row.new),
        old=None if row.old is None else tuple(row.old),
        entry_id=row.pk,
        scope=row.scope,
    )
