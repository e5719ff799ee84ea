"""Rows that only the pages' tests need: errors, queued changes, runs, events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from portal.activity.models import ActivityEvent
from portal.comparisons.models import Comparison, DifferentColumn, FoundDifference
from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import ErrorGroup, SyncError
from portal.maps.models import TableMap
from portal.runs.models import InitialSyncRun, LegRun
from portal.sync.models import QueuedChange
from syncengine.mapping.causes import cause_signature, cause_text

TO_DATAVERSE = "finops_to_dataverse"
TO_FINOPS = "dataverse_to_finops"


def ago(seconds: float) -> datetime:
    """A moment in the past."""
    return timezone.now() - timedelta(seconds=seconds)


def make_error(
    table_map: TableMap, key: str = "usmf / C-001", **values: Any
) -> SyncError:
    """An open error of one record."""
    defaults: dict[str, Any] = {
        "direction": TO_DATAVERSE,
        "phase": "live",
        "key": key.split(" / "),
        "key_text": key,
        "code": "value_not_mapped",
        "column": "hold",
        "message": "The value Blocked of hold is not in its value map.",
        "source_row": {"account": key, "name": "Fabrikam", "hold": "Blocked"},
        "mapped_row": {"accountnumber": key, "name": "Fabrikam"},
        "first_seen": ago(600),
        "last_seen": ago(30),
    }
    error = SyncError(table_map=table_map, **{**defaults, **values})
    error.cause = error.cause or make_cause(error)
    error.save()
    return error


def make_cause(error: SyncError) -> ErrorGroup:
    """The cause of an error, as the journal would group it."""
    text = cause_text(error.code, error.message, error.key)
    cause, _ = ErrorGroup.objects.get_or_create(
        table_map=error.table_map,
        direction=error.direction,
        signature=cause_signature(error.code, error.column, text),
        defaults={
            "code": error.code,
            "column": error.column,
            "text": text,
            "first_seen": error.first_seen,
            "last_seen": error.last_seen,
        },
    )
    return cause


def make_queued(table_map: TableMap, number: int = 1, **values: Any) -> QueuedChange:
    """A change that waits."""
    defaults: dict[str, Any] = {
        "direction": TO_DATAVERSE,
        "position": f"00000000/{number:08X}",
        "ordinal": 0,
        "transaction_id": str(number),
        "committed_at": ago(120),
        "kind": "update",
        "key": ["usmf", f"C-{number:03}"],
        "key_text": f"usmf / C-{number:03}",
        "columns": ["name"],
    }
    return QueuedChange.objects.create(table_map=table_map, **{**defaults, **values})


def make_run(table_map: TableMap, *, legs: int = 1, **values: Any) -> InitialSyncRun:
    """A run with one leg a company, completed unless said otherwise."""
    defaults: dict[str, Any] = {
        "master": "finops",
        "state": "completed",
        "started_at": ago(60),
        "finished_at": ago(50),
    }
    run = InitialSyncRun.objects.create(table_map=table_map, **{**defaults, **values})
    for number in range(legs):
        LegRun.objects.create(
            run=run,
            direction=TO_DATAVERSE,
            order=1,
            legal_entity=f"us{number}",
            state=run.state,
            total=100,
            exported=50,
            inserted=30,
            updated=10,
            unchanged=8,
            failed=2,
            started_at=ago(60),
            finished_at=ago(50),
        )
    return run


def make_event(table_map: TableMap | None = None, **values: Any) -> ActivityEvent:
    """A line of the activity log."""
    defaults: dict[str, Any] = {
        "kind": "map.run",
        "message": "customers: Not running to Running.",
        "connection_set": table_map.connection_set if table_map else None,
        "old_state": "not_running",
        "new_state": "running",
        "correlation_id": "c0ffee00c0ffee00",
    }
    return ActivityEvent.objects.create(table_map=table_map, **{**defaults, **values})


def pulse(connection_set: ConnectionSet, **values: Any) -> None:
    """Both streams report, just now, that they run."""
    for source in ("finops", "dataverse"):
        Stream.objects.update_or_create(
            connection_set=connection_set,
            source=source,
            defaults={
                "state": "running",
                "heartbeat_at": timezone.now(),
                "lag_seconds": 0.2,
                "lag_bytes": 4096,
                "last_change_at": ago(3),
                **values,
            },
        )


def make_comparison(
    table_map: TableMap, number: int = 2, **values: object
) -> Comparison:
    """A completed comparison that found so many differences."""
    now = timezone.now()
    defaults: dict[str, object] = {
        "state": "completed",
        "started_at": now,
        "finished_at": now,
        "equal": 10,
        "different": number,
        "kept": number,
        "in_step": not number,
        "rows_read": 24,
    }
    one = Comparison.objects.create(table_map=table_map, **{**defaults, **values})
    found = FoundDifference.objects.bulk_create(
        FoundDifference(
            comparison=one,
            kind="different",
            key=["USMF", f"C{i}"],
            source_key=["usmf", f"C{i}"],
            key_text=f"USMF / C{i}",
        )
        for i in range(number)
    )
    DifferentColumn.objects.bulk_create(
        DifferentColumn(
            difference=row, column="name", finops=f"Ours {i}", dataverse=None
        )
        for i, row in enumerate(found)
    )
    return one
