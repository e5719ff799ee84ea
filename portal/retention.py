"""How long what is over is kept: errors, conflicts, alerts, the activity log.

Everything goes in small portions, oldest first, and each purge that takes something
leaves a line in the activity log. Open errors and conflicts that nobody has decided yet
are never purged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert, Delivery, RuleTelling
from portal.errors import trends
from portal.errors.models import OPEN_ERROR_STATES, Conflict, ErrorGroup, SyncError

PORTION = 5_000
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Purged:
    """What one purge took."""

    errors: int
    conflicts: int
    events: int
    alerts: int = 0


def purge(now: datetime | None = None) -> Purged:
    """Purge what is older than its policy says; nothing where that is 0."""
    now = now or timezone.now()
    return Purged(
        errors=_errors(now, settings.ERRORS_KEPT_DAYS),
        conflicts=_by_age(
            Conflict.objects.exclude(winner=UNDECIDED),
            now,
            settings.CONFLICTS_KEPT_DAYS,
            "conflicts.purge",
            "settled conflict",
        ),
        events=_by_age(
            ActivityEvent.objects.all(),
            now,
            settings.ACTIVITY_KEPT_DAYS,
            "activity.purge",
            "activity event",
        ),
        alerts=_alerts(now, settings.ALERTS_KEPT_DAYS),
    )


def _errors(now: datetime, days: int) -> int:
    """Errors that were closed so long ago, and causes that have none left."""
    trends.purge(now)
    if not days:
        return 0
    limit = now - timedelta(days=days)
    closed = SyncError.objects.filter(closed_at__lt=limit).exclude(
        state__in=OPEN_ERROR_STATES
    )
    number = _in_portions(closed.order_by("closed_at"))
    _record("errors.purge", number, "closed error", days)
    # In one statement: a cause that a stream just met again is left alone.
    _delete(ErrorGroup.objects.filter(kept_count=0, last_seen__lt=limit))
    return number


def _alerts(now: datetime, days: int) -> int:
    """Alerts that were over so long ago, with their messages and places in inboxes,
    and tests of messages as old."""
    if not days:
        return 0
    limit = now - timedelta(days=days)
    number = 0
    closed = Alert.objects.filter(closed_at__lt=limit).order_by("closed_at")
    while ids := list(closed.values_list("pk", flat=True)[:PORTION]):
        with transaction.atomic():
            Alert.objects.filter(pk__in=ids).delete()
        number += len(ids)
    Delivery.objects.filter(alert=None, created_at__lt=limit).delete()
    RuleTelling.objects.filter(told_at__lt=limit).delete()
    _record("alerts.purge", number, "closed alert", days)
    return number


def _by_age(rows: QuerySet[Any], now: datetime, days: int, kind: str, noun: str) -> int:
    """Rows made so long ago. Ids rise with time, so the oldest are found by id."""
    if not days:
        return 0
    limit = now - timedelta(days=days)
    number, last = 0, 0
    while True:
        oldest = list(
            rows.filter(pk__gt=last)
            .order_by("pk")
            .values_list("pk", "created_at")[:PORTION]
        )
        ids = [pk for pk, created_at in oldest if created_at < limit]
        if ids:
            with transaction.atomic():
                _delete(rows.model._default_manager.filter(pk__in=ids))
            number += len(ids)
            last = ids[-1]
        if len(ids) < PORTION:
            break
    _record(kind, number, noun, days)
    return number


def _in_portions(rows: QuerySet[SyncError]) -> int:
    number = 0
    while True:
        ids = list(rows.values_list("pk", flat=True)[:PORTION])
        if not ids:
            return number
        with transaction.atomic():
            _delete(SyncError.objects.filter(pk__in=ids))
        number += len(ids)


def _delete(rows: QuerySet[Any]) -> None:
    """At once, without looking for rows that refer to these: none do."""
    rows._raw_delete(rows.db)


def _record(kind: str, number: int, noun: str, days: int) -> None:
    if number:
        activity.record(
            kind,
            f"{number:,} {noun}{'' if number == 1 else 's'} older than {days} days "
            "purged, as the policy says.",
            details={"purged": number, "days": days},
        )
