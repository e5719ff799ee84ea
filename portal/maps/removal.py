"""Taking the rows of maps out of the portal's database."""

from __future__ import annotations

from collections.abc import Sequence

from portal.comparisons.models import (
    Comparison,
    DifferentColumn,
    FoundDifference,
)
from portal.errors.models import Conflict, SyncError
from portal.maps.models import MapVersion, TableMap
from portal.runs.models import Chunk, InitialSyncRun, LegRun
from portal.sync.models import (
    QueuedChange,
    SavedQueue,
    SavedQueuePart,
    SetAsideChange,
)


def remove_maps(ids: Sequence[int]) -> None:
    """Delete maps with all rows that belong to them, in the caller's transaction.

    The long tables go by one statement each, never row by row through Python. Only
    activity events are kept; they no longer point to the map.
    """
    for rows in (
        QueuedChange.objects.filter(table_map__in=ids),
        SetAsideChange.objects.filter(table_map__in=ids),
        SavedQueuePart.objects.filter(saved_queue__table_map__in=ids),
        SavedQueue.objects.filter(table_map__in=ids),
        SyncError.objects.filter(table_map__in=ids),
        Conflict.objects.filter(table_map__in=ids),
        Chunk.objects.filter(leg_run__run__table_map__in=ids),
        LegRun.objects.filter(run__table_map__in=ids),
        InitialSyncRun.objects.filter(table_map__in=ids),
        DifferentColumn.objects.filter(difference__comparison__table_map__in=ids),
        FoundDifference.objects.filter(comparison__table_map__in=ids),
        Comparison.objects.filter(table_map__in=ids),
    ):
        rows.delete()
    # A map protects its current version.
    TableMap.objects.filter(pk__in=ids).update(version=None)
    MapVersion.objects.filter(table_map__in=ids).delete()
    TableMap.objects.filter(pk__in=ids).delete()
