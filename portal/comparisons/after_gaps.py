"""After changes were lost: compares the maps concerned, as their set says."""

from __future__ import annotations

from django.db.models import F, Q
from django.utils import timezone

from portal.comparisons.models import Trigger
from portal.comparisons.services import ask
from portal.environments.models import AfterGap
from portal.maps.models import MapState, TableMap
from portal.refusals import Refusal
from portal.sync.models import QueuedChange

_UNTRIED = Q(reconcile_tried_at=None) | Q(
    reconcile_tried_at__lt=F("reconcile_needed_at")
)


def ask_where_needed() -> int:
    """Ask once for a comparison (or a repair) of every running map that must be
    compared and whose queue is empty; gives their number."""
    due = (
        TableMap.objects.filter(
            _UNTRIED, reconcile_needed_at__isnull=False, state=MapState.RUNNING
        )
        .exclude(connection_set__after_gap=AfterGap.LEAVE)
        .exclude(pk__in=QueuedChange.objects.values("table_map"))
        .select_related("connection_set")
        .order_by("reconcile_needed_at", "pk")
    )
    return sum(_ask(one) for one in due)


def _ask(table_map: TableMap) -> bool:
    claimed = TableMap.objects.filter(
        _UNTRIED, pk=table_map.pk, reconcile_needed_at__isnull=False
    ).update(reconcile_tried_at=timezone.now())
    if not claimed:
        return False
    repair = ""
    if table_map.connection_set.after_gap == AfterGap.REPAIR:
        repair = table_map.reconcile_side
    try:
        ask(table_map, repair=repair, trigger=Trigger.GAP)
    except Refusal:
        # Being compared already, or not comparable now: the next tick asks again.
        TableMap.objects.filter(pk=table_map.pk).update(reconcile_tried_at=None)
        return False
    return True
