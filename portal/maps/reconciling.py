"""Maps that must be compared because changes of theirs are not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.maps.models import TableMap

if TYPE_CHECKING:
    from portal.accounts.models import User

ALERT = "reconcile-needed"


@transaction.atomic
def need_reconcile(
    ids: Iterable[int], reason: str, *, side: str = "", user: User | None = None
) -> int:
    """From now on these maps say that they must be compared, and why, until a
    comparison finds both sides equal; gives their number. `side` is the one whose
    changes were lost, where it is one."""
    maps = list(
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set")
        .filter(pk__in=list(ids))
        .order_by("pk")
    )
    known = {one.pk for one in maps if one.reconcile_needed_at is not None}
    for before, chosen in ((True, known), (False, {one.pk for one in maps} - known)):
        sides = Case(When(reconcile_side=side, then=Value(side)), default=Value(""))
        TableMap.objects.filter(pk__in=chosen).update(
            reconcile_needed_at=timezone.now(),
            reconcile_reason=reason,
            reconcile_side=sides if before else side,
            reconcile_tried_at=None,
        )
    for one in maps:
        message = f"{one.name} must be compared: {reason}"
        activity.record(
            "map.reconcile_needed",
            message,
            user=user,
            table_map=one,
            details={"reason": reason},
        )
        alerts.raise_alert(
            ALERT,
            f"{message} Compare it and repair what differs.",
            table_map=one,
            severity="error",
        )
    return len(maps)


@transaction.atomic
def reconciled(table_map: TableMap) -> None:
    """A comparison found both sides equal: nothing needs to be compared."""
    changed = TableMap.objects.filter(
        pk=table_map.pk, reconcile_needed_at__isnull=False
    ).update(reconcile_needed_at=None, reconcile_reason="", reconcile_side="")
    if not changed:
        return
    activity.record(
        "map.reconciled",
        f"{table_map.name}: both sides are equal again.",
        table_map=table_map,
    )
    alerts.clear_alert(ALERT, table_map=table_map)
