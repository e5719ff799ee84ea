"""The conflict log as the engine's Journal writes it. Set-based SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from portal.alerts import services as alerts
from portal.environments.models import ConnectionSet
from portal.errors.models import Conflict, ConflictState
from portal.maps.models import TableMap
from portal.sync.failed_records import key_text
from syncengine.mapping.compiled import Row
from syncengine.ports import ConflictRecord, Undecided

UNDECIDED = "undecided"
ALERT = "conflict_undecided"

_COLUMNS = (
    'table_map_id, direction, key_text, "column", policy, winner, base, source_value, '
    "target_value, state, subject, finops_key, dataverse_key, finops_columns, "
    "dataverse_columns, finops_row, dataverse_row, finops_written_at, "
    "dataverse_written_at, reason, last_seen"
)
_TYPES = (
    'table_map_id bigint, direction text, key_text text, "column" text, policy text, '
    "winner text, base text, source_value text, target_value text, state text, "
    "subject text, finops_key jsonb, dataverse_key jsonb, finops_columns jsonb, "
    "dataverse_columns jsonb, finops_row jsonb, dataverse_row jsonb, "
    "finops_written_at timestamptz, dataverse_written_at timestamptz, reason text, "
    "last_seen timestamptz"
)
_KEEP = f"""
INSERT INTO errors_conflict ({_COLUMNS}, created_at)
SELECT {_COLUMNS}, last_seen FROM jsonb_to_recordset(%s::jsonb) AS n({_TYPES})
ON CONFLICT (table_map_id, subject) WHERE state = 'undecided' DO UPDATE SET
    direction = excluded.direction, source_value = excluded.source_value,
    target_value = excluded.target_value, finops_row = excluded.finops_row,
    dataverse_row = excluded.dataverse_row,
    finops_written_at = excluded.finops_written_at,
    dataverse_written_at = excluded.dataverse_written_at,
    last_seen = excluded.last_seen
RETURNING table_map_id, state, xmax = 0
"""  # noqa: S608 - constants only


def subject_of(finops_key: Row, columns: Iterable[str]) -> str:
    """What is contested: a record's columns, the same from both streams."""
    return json.dumps([list(finops_key), list(columns)], ensure_ascii=False)


@transaction.atomic
def record(connection_set: ConnectionSet, conflicts: Sequence[ConflictRecord]) -> None:
    """Write to the log; what waits for a person takes the place of what waits already
    for the same columns, and raises an alert."""
    if not conflicts:
        return
    latest: dict[tuple[int, str] | int, ConflictRecord] = {}
    for number, one in enumerate(conflicts):
        subject = subject_of(one.finops_key, one.finops_columns)
        waiting = one.winner == UNDECIDED
        latest[(one.map_id, subject) if waiting else number] = one
    rows = [_row(one) for one in latest.values()]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [json.dumps(rows, default=str)])
        kept = cursor.fetchall()
    fresh = {map_id for map_id, state, is_new in kept if is_new and state == UNDECIDED}
    if fresh:
        _tell(connection_set.pk)
        show_waiting(fresh)


def _row(one: ConflictRecord) -> dict[str, Any]:
    values = asdict(one)
    for name in ("map_id", "key"):
        values.pop(name)
    waiting = one.winner == UNDECIDED
    return values | {
        "table_map_id": one.map_id,
        "direction": one.direction.value,
        "key_text": key_text(one.finops_key or one.key),
        "state": (ConflictState.UNDECIDED if waiting else ConflictState.SETTLED).value,
        "subject": subject_of(one.finops_key, one.finops_columns),
        "last_seen": timezone.now().isoformat(),
    }


def undecided(map_id: int) -> list[Undecided]:
    """The conflicts of a map that wait for a person."""
    found = Conflict.objects.filter(
        table_map_id=map_id, state=ConflictState.UNDECIDED
    ).values_list("finops_key", "dataverse_key", "finops_columns", "dataverse_columns")
    return [Undecided(*(tuple(part or ()) for part in parts)) for parts in found]


@transaction.atomic
def close(
    connection_set: ConnectionSet,
    map_id: int,
    finops_key: Row,
    columns: Sequence[str] | None,
) -> None:
    """Users made both sides agree: nobody needs to decide any more."""
    found = Conflict.objects.filter(table_map_id=map_id, state=ConflictState.UNDECIDED)
    if columns is None:
        found = found.filter(finops_key=list(finops_key))
    else:
        found = found.filter(subject=subject_of(finops_key, columns))
    if found.update(state=ConflictState.CLOSED, last_seen=timezone.now()):
        _tell(connection_set.pk)
        show_waiting([map_id])


def show_waiting(map_ids: Iterable[int]) -> None:
    """Raise, renew or clear the alert of these maps: how many conflicts wait."""
    for table_map in TableMap.objects.filter(pk__in=set(map_ids)).select_related(
        "connection_set"
    ):
        number = table_map.conflicts.filter(state=ConflictState.UNDECIDED).count()
        if not number:
            alerts.clear_alert(ALERT, table_map=table_map)
            continue
        noun = "conflict waits" if number == 1 else "conflicts wait"
        alerts.raise_alert(
            ALERT,
            f"{table_map.name}: {number:,} {noun} for a decision. The columns stay "
            "different on both sides until somebody chooses a side on the conflicts "
            "page.",
            table_map=table_map,
            conflicts=number,
        )


def _tell(connection_set_id: int) -> None:
    """Both streams read anew what nobody may overwrite."""
    ConnectionSet.objects.filter(pk=connection_set_id).update(
        revision=F("revision") + 1
    )
