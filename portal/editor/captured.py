"""The newest captured changes of a map that are kept, to be replayed with a draft."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.history.keys import SEPARATOR
from portal.history.models import CarriedChange
from portal.maps.models import TableMap
from portal.sync.models import QueuedChange, SetAsideChange
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction
from syncengine.trial_records import CapturedChange

MOST = 200
"""So many of each kind are replayed."""
LATELY = timedelta(days=1)
"""So far back changes that were carried over are tried again."""
_DELETED = "deleted"
_LATEST = ("-position", "-ordinal")


def captured_keys(table_map: TableMap, direction: Direction) -> dict[str, list[Row]]:
    """The source keys of the newest captured changes that are kept: of open errors, of
    the queue, of changes set aside, and of those carried over; each key once. Deletes
    are left to `captured_deletes`."""
    of_leg = {"table_map": table_map, "direction": direction.value}
    sources = {
        "error": _errors(table_map, direction).exclude(operation="delete"),
        "queue": QueuedChange.objects.filter(**of_leg).exclude(kind="delete"),
        "set aside": SetAsideChange.objects.filter(**of_leg).exclude(kind="delete"),
    }
    keys: dict[str, list[Row]] = {}
    for origin, rows in sources.items():
        order = ("-id",) if origin == "error" else _LATEST
        newest = rows.order_by(*order).values_list("key", flat=True)[:MOST]
        found = dict.fromkeys(_plain(key) for key in newest)
        if found:
            keys[origin] = list(found)
    carried = CarriedChange.objects.exclude(kind=_DELETED)
    if lately := _carried_lately(carried, table_map, direction):
        keys["carried"] = lately
    return keys


def captured_deletes(
    table_map: TableMap, direction: Direction
) -> tuple[CapturedChange, ...]:
    """The newest captured deletes, and updates that may have taken a row out of the
    filter, in the order they were made; each key once, as it ended."""
    found: dict[Row, CapturedChange] = {}
    for one in _captured(table_map, direction):
        found.pop(one.key, None)
        found[one.key] = one
    return tuple(found.values())


def _captured(table_map: TableMap, direction: Direction) -> Iterator[CapturedChange]:
    of_leg = {"table_map": table_map, "direction": direction.value}
    carried = CarriedChange.objects.filter(kind=_DELETED)
    for key in reversed(_carried_lately(carried, table_map, direction)):
        yield CapturedChange(key, "carried")
    errors = _errors(table_map, direction).filter(operation="delete").order_by("-id")
    for key, row in reversed(errors.values_list("key", "source_row")[:MOST]):
        yield CapturedChange(_plain(key), "error", row or None)
    for origin, kept in (
        ("set aside", SetAsideChange.objects.filter(**of_leg)),
        ("queue", QueuedChange.objects.filter(**of_leg)),
    ):
        newest = kept.filter(kind__in=("delete", "update"), old__isnull=False)
        rows = newest.order_by(*_LATEST).values_list("key", "kind", "columns", "old")
        for key, kind, columns, old in reversed(rows[:MOST]):
            before = dict(zip(columns, old, strict=False))
            yield CapturedChange(_plain(key), origin, before, kind == "delete")


def without(
    keys: Mapping[str, Sequence[Row]], deletes: Sequence[CapturedChange]
) -> dict[str, list[Row]]:
    """The keys that were not deleted in the end."""
    gone = {one.key for one in deletes if one.deleted}
    left = {
        origin: [key for key in each if key not in gone]
        for origin, each in keys.items()
    }
    return {origin: each for origin, each in left.items() if each}


def _errors(table_map: TableMap, direction: Direction) -> QuerySet[SyncError]:
    return SyncError.objects.filter(
        table_map=table_map, direction=direction.value, state__in=OPEN_ERROR_STATES
    )


def _carried_lately(
    rows: QuerySet[CarriedChange], table_map: TableMap, direction: Direction
) -> list[Row]:
    """The source keys of what was carried over last, from the history; none where it
    is too long to be looked through in time."""
    newest = (
        rows.filter(
            map_id=table_map.pk,
            direction=direction.value,
            at__gte=timezone.now() - LATELY,
        )
        .order_by("-at")
        .values_list("source_key", flat=True)[:MOST]
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '2s'")
            texts = dict.fromkeys(newest)
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError:
        return []
    return [tuple(text.split(SEPARATOR)) for text in texts]


def _plain(key: Sequence[Any]) -> Row:
    return tuple(None if part is None else str(part) for part in key)
