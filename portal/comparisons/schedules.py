"""Comparisons that are made by themselves, and forgetting old ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.comparisons import services, working
from portal.comparisons.models import (
    ACTIVE_STATES,
    Comparison,
    ComparisonSchedule,
    ComparisonState,
    DifferentColumn,
    FoundDifference,
    Trigger,
)
from portal.environments.models import ConnectionSet
from portal.maps.models import MapState, TableMap
from portal.refusals import Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

LATE_AT_MOST = timedelta(hours=6)
"""A comparison that was due while no worker ran is made up for so long."""

AT_ONCE = 2


def due_since(schedule: ComparisonSchedule, now: datetime) -> datetime:
    """When the schedule was last due, at or before `now`."""
    due = now.replace(
        hour=schedule.hour, minute=schedule.minute, second=0, microsecond=0
    )
    return due if due <= now else due - timedelta(days=1)


def start_due(now: datetime | None = None) -> int:
    """Ask for the comparisons of all schedules that are due; gives their number."""
    now = now or timezone.now()
    asked = 0
    for schedule in ComparisonSchedule.objects.filter(
        enabled=True, connection_set__retired_at=None
    ).select_related("connection_set", "table_map__version"):
        due = due_since(schedule, now)
        if now - due > LATE_AT_MOST:
            continue
        claimed = ComparisonSchedule.objects.filter(
            Q(started_at=None) | Q(started_at__lt=due), pk=schedule.pk
        ).update(started_at=now)
        if claimed:
            asked += sum(_ask(one, schedule) for one in _maps(schedule))
    return asked


def _maps(schedule: ComparisonSchedule) -> list[TableMap]:
    if schedule.table_map is not None:
        return [schedule.table_map]
    return list(
        TableMap.objects.filter(
            connection_set=schedule.connection_set, comparison_schedule=None
        )
        .exclude(state__in=(MapState.NOT_RUNNING, MapState.INITIALIZING))
        .select_related("version", "connection_set")
    )


def _ask(table_map: TableMap, schedule: ComparisonSchedule) -> int:
    try:
        services.ask(
            table_map,
            trigger=Trigger.SCHEDULED,
            rows_per_second=schedule.rows_per_second,
        )
    except Refusal:
        return 0  # it is being compared already, or has no version
    return 1


def next_waiting() -> list[int]:
    """The comparisons a worker should take now, oldest first. Those asked for by a
    person wait for nobody; scheduled ones go a few at a time."""
    running = Comparison.objects.filter(state=ComparisonState.RUNNING).count()
    waiting = list(
        Comparison.objects.filter(state=ComparisonState.WAITING)
        .order_by("pk")
        .values_list("pk", "trigger")
    )
    asked_for = [pk for pk, trigger in waiting if trigger == Trigger.MANUAL]
    others = [pk for pk, trigger in waiting if trigger != Trigger.MANUAL]
    return asked_for + others[: max(0, AT_ONCE - running)]


def save(
    connection_set: ConnectionSet,
    table_map: TableMap | None,
    *,
    hour: int,
    minute: int = 0,
    rows_per_second: int = 0,
    enabled: bool = True,
    user: User | None = None,
) -> ComparisonSchedule:
    """Compare at this time (UTC) of every day from now on. Raises Refusal."""
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        raise Refusal(
            "Give the time as HH:MM, from 00:00 to 23:59 (UTC).", code="bad_time"
        )
    before = ComparisonSchedule.objects.filter(
        connection_set=connection_set, table_map=table_map
    ).first()
    # The first comparison is made when the time comes round, not at once.
    schedule, _ = ComparisonSchedule.objects.update_or_create(
        connection_set=connection_set,
        table_map=table_map,
        defaults={
            "hour": hour,
            "minute": minute,
            "rows_per_second": rows_per_second,
            "enabled": enabled,
            "started_at": timezone.now(),
        },
    )
    word = "is compared" if enabled else "would be compared (switched off)"
    activity.record(
        "map.compare_scheduled" if table_map else "connection_set.compare_scheduled",
        f"{table_map or connection_set} {word} daily at {schedule.time} UTC.",
        user=user,
        connection_set=connection_set,
        table_map=table_map,
        details={
            "time": schedule.time,
            "rows_per_second": rows_per_second,
            "changes": changes(_shown(before), _shown(schedule)),
        },
    )
    return schedule


def _shown(schedule: ComparisonSchedule | None) -> dict[str, Any]:
    if schedule is None:
        return {}
    return {
        "daily_at": f"{schedule.time} UTC",
        "rows_per_second": schedule.rows_per_second or "as fast as it goes",
        "on": schedule.enabled,
    }


def remove(
    connection_set: ConnectionSet,
    table_map: TableMap | None,
    *,
    user: User | None = None,
) -> bool:
    """Compare no more by itself; False where there was no schedule."""
    number, _ = ComparisonSchedule.objects.filter(
        connection_set=connection_set, table_map=table_map
    ).delete()
    if number:
        activity.record(
            "map.compare_unscheduled"
            if table_map
            else "connection_set.compare_unscheduled",
            f"{table_map or connection_set} is no longer compared by itself.",
            user=user,
            connection_set=connection_set,
            table_map=table_map,
        )
    return bool(number)


def forget_old(now: datetime | None = None) -> int:
    """Delete comparisons beyond the time they are kept, but for the last of each
    map; gives their number."""
    now = now or timezone.now()
    last = (
        Comparison.objects.filter(state=ComparisonState.COMPLETED)
        .order_by()
        .values("table_map")
        .annotate(last=Max("pk"))
        .values("last")
    )
    old = list(
        Comparison.objects.filter(
            created_at__lt=now - timedelta(days=settings.COMPARE_HISTORY_DAYS)
        )
        .exclude(state__in=ACTIVE_STATES)
        .exclude(pk__in=last)
        .values_list("pk", flat=True)[:200]
    )
    if old:
        found = FoundDifference.objects.filter(comparison__in=old)
        DifferentColumn.objects.filter(difference__in=found)._raw_delete("default")
        found._raw_delete("default")
        Comparison.objects.filter(pk__in=old).delete()
    return len(old)


def tick() -> list[int]:
    """One pass: start what is due, free what died; the comparisons to take now."""
    start_due()
    working.free_silent()
    return next_waiting()
