"""What happens to a run as a whole: completed, failed, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.services import announce, clear_alert, raise_alert
from portal.maps import services as maps
from portal.maps.models import Leg, MapState, TableMap
from portal.refusals import ActionForbidden
from portal.runs import scopes
from portal.runs.models import (
    ACTIVE_RUN_STATES,
    OPEN_CHUNK_STATES,
    Chunk,
    ChunkState,
    InitialSyncRun,
    LegRun,
    Outcome,
    RunState,
)
from portal.sync.models import QueuedChange
from syncengine.ports import LegMode

if TYPE_CHECKING:
    from portal.accounts.models import User

ALERT = "initial_sync_failed"
DONE = "initial_sync_done"

PURGED_AT_ONCE = 500

COUNTS = ("exported", "inserted", "updated", "unchanged", "skipped", "failed")


@transaction.atomic
def complete_run(run: InitialSyncRun) -> bool:
    """The map is Running: the run has done its work. False if it had ended before."""
    totals = run_counts(run)
    message = _summary(totals)
    outcome = Outcome.WARNING if totals["failed"] else Outcome.COMPLETED
    ended = InitialSyncRun.objects.filter(
        pk=run.pk, state__in=ACTIVE_RUN_STATES
    ).update(
        state=RunState.COMPLETED,
        outcome=outcome,
        message=message,
        finished_at=timezone.now(),
    )
    if not ended:
        return False
    subject = f"initial sync of {run.companies}" if run.joins else "initial sync"
    activity.record(
        "run.completed",
        f"{run.table_map.name}: {subject} completed. {message}",
        table_map=run.table_map,
        correlation_id=run.correlation_id,
        details=dict(totals),
    )
    clear_alert(ALERT, table_map=run.table_map, about=run.companies)
    announce(
        DONE,
        f"{run.table_map.name}: {subject} completed. {message}",
        table_map=run.table_map,
        severity="warning" if totals["failed"] else "info",
        run=run.pk,
    )
    return True


@transaction.atomic
def fail_run(run: InitialSyncRun, code: str, message: str) -> bool:
    """A leg cannot be copied: end the run, put the map back to Not running with the
    reason. Where companies were to join a map that runs, they stay out of it, and the
    map goes on with the others. False if the run had ended before."""
    table_map = (
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set")
        .get(pk=run.table_map_id)
    )
    ended = InitialSyncRun.objects.filter(
        pk=run.pk, state__in=ACTIVE_RUN_STATES
    ).update(
        state=RunState.FAILED,
        outcome=Outcome.ERROR,
        message=message,
        finished_at=timezone.now(),
    )
    if not ended:
        return False
    _end_parts(run, RunState.FAILED)
    if run.joins:
        scopes.close_scope(run)
        maps.bump_revision([table_map.connection_set_id])
    subject = f"initial sync of {run.companies}" if run.joins else "initial sync"
    activity.record(
        "run.failed",
        f"{table_map.name}: {subject} failed. {message}",
        table_map=table_map,
        old_state=table_map.state,
        new_state=table_map.state if run.joins else MapState.NOT_RUNNING,
        correlation_id=run.correlation_id,
        details={"code": code, "message": message},
    )
    raise_alert(
        ALERT,
        f"{table_map.name}: {subject} failed. {message}",
        table_map=table_map,
        about=run.companies,
    )
    if table_map.state == MapState.INITIALIZING and not run.joins:
        table_map.legs.update(
            mode=LegMode.OFF.value, queued_through="", drain_after="", fold=False
        )
        QueuedChange.objects.filter(table_map=table_map).delete()
        table_map.state = MapState.NOT_RUNNING
        table_map.state_reason = f"{code}: {message}"
        table_map.state_changed_at = timezone.now()
        table_map.save(update_fields=["state", "state_reason", "state_changed_at"])
        maps.bump_revision([table_map.connection_set_id])
    return True


def cancel_run(run: InitialSyncRun, *, user: User | None = None) -> None:
    """Stop the copy and its map; what was copied so far stays. Of companies that were
    to join a map that runs, only their copy stops. Raises ActionForbidden when the run
    has ended."""
    run.refresh_from_db()
    if run.state not in ACTIVE_RUN_STATES:
        raise ActionForbidden(
            f"The initial sync of {run.table_map.name} is "
            f"{run.get_state_display().lower()} and cannot be cancelled."
        )
    if run.joins:
        _cancel_joining(run, user)
    else:
        maps.stop([run.table_map_id], user=user)
    _end_parts(run, RunState.CANCELLED)


def cancel_runs(
    table_maps: Sequence[TableMap], *, user: User | None = None
) -> list[InitialSyncRun]:
    """Cancel all active runs of these maps; refused when one of them has none."""
    active = InitialSyncRun.objects.filter(
        table_map__in=table_maps, state__in=ACTIVE_RUN_STATES
    )
    runs = list(active.select_related("table_map__connection_set"))
    copying = {run.table_map_id for run in runs}
    idle = [one.name for one in table_maps if one.pk not in copying]
    if idle:
        raise ActionForbidden(
            f"No initial sync of {', '.join(idle)} is going on: nothing was cancelled."
        )
    for run in runs:
        cancel_run(run, user=user)
    ended = InitialSyncRun.objects.filter(pk__in=[run.pk for run in runs])
    return list(
        ended.select_related("table_map__connection_set").prefetch_related("legs")
    )


@transaction.atomic
def _cancel_joining(run: InitialSyncRun, user: User | None) -> None:
    ended = InitialSyncRun.objects.filter(
        pk=run.pk, state__in=ACTIVE_RUN_STATES
    ).update(
        state=RunState.CANCELLED,
        message="Cancelled by an administrator.",
        finished_at=timezone.now(),
    )
    if not ended:
        return
    scopes.close_scope(run)
    maps.bump_revision([run.table_map.connection_set_id])
    activity.record(
        "run.cancelled",
        f"{run.table_map.name}: the copy of {run.companies} was cancelled; nothing of "
        "them is carried over until it is run again or skipped.",
        user=user,
        table_map=run.table_map,
        correlation_id=run.correlation_id,
    )


@transaction.atomic
def purge(now: datetime) -> int:
    """Forget runs that ended long ago, with their counts; gives their number. The last
    run of each map stays, and so does what companies of a run still hang on."""
    last = TableMap.objects.values(newest=Max("runs"))
    kept = Leg.objects.filter(scope__gt=0).values("scope")
    old = (
        InitialSyncRun.objects.filter(
            finished_at__lt=now - timedelta(days=settings.RUN_HISTORY_DAYS)
        )
        .exclude(state__in=ACTIVE_RUN_STATES)
        .exclude(pk__in=kept)
        .exclude(pk__in=last.exclude(newest=None))
        .order_by("pk")
        .values_list("pk", flat=True)[:PURGED_AT_ONCE]
    )
    ids = list(old)
    if ids:
        Chunk.objects.filter(leg_run__run__in=ids).delete()
        LegRun.objects.filter(run__in=ids).delete()
        InitialSyncRun.objects.filter(pk__in=ids).delete()
        noun = "initial sync was" if len(ids) == 1 else "initial syncs were"
        activity.record(
            "run.purged",
            f"{len(ids):,} {noun} forgotten: they ended more than "
            f"{settings.RUN_HISTORY_DAYS} days ago (RUN_HISTORY_DAYS).",
        )
    return len(ids)


def run_counts(run: InitialSyncRun) -> dict[str, int]:
    """The counts of all parts of a run, finished or not."""
    totals = Chunk.objects.filter(leg_run__run=run).aggregate(
        **{name: Sum(name, default=0) for name in COUNTS}
    )
    return {name: int(totals[name]) for name in COUNTS}


def _end_parts(run: InitialSyncRun, state: RunState) -> None:
    LegRun.objects.filter(
        run=run, state__in=(RunState.WAITING, RunState.COPYING)
    ).update(state=state, finished_at=timezone.now())
    Chunk.objects.filter(leg_run__run=run, state__in=OPEN_CHUNK_STATES).update(
        state=ChunkState.FAILED, claimed_at=None
    )


def _summary(totals: dict[str, int]) -> str:
    text = (
        f"{totals['exported']:,} rows: {totals['inserted']:,} inserted, "
        f"{totals['updated']:,} updated, {totals['unchanged']:,} unchanged"
    )
    if totals["skipped"]:
        text += f", {totals['skipped']:,} left alone"
    if totals["failed"]:
        return f"{text}, {totals['failed']:,} failed (see the error list)."
    return f"{text}."
