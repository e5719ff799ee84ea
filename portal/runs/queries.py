"""Reads about runs that more than one step needs."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.errors.models import SyncError
from portal.pages import sharing
from portal.runs.models import InitialSyncRun, RunState


def copying_beside(run: InitialSyncRun) -> QuerySet[InitialSyncRun]:
    """Runs of other maps of the set whose rows are not all there yet: they have not
    ended their first pass."""
    return InitialSyncRun.objects.filter(
        table_map__connection_set_id=run.table_map.connection_set_id,
        state__in=(RunState.WAITING, RunState.COPYING),
        copied_at=None,
    ).exclude(pk=run.pk)


def errors_of(run: InitialSyncRun) -> QuerySet[SyncError]:
    """The records that failed in a run and have not been tried again since."""
    found = sharing(
        SyncError.objects.filter(
            phase="initial", last_seen__gte=run.started_at or run.created_at
        ),
        "table_map",
        run.table_map_id,
    )
    if run.finished_at is not None:
        found = found.filter(first_seen__lte=run.finished_at)
    return found.order_by("pk")
