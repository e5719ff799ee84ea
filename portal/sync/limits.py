"""The limits of queues: warned about in time, and kept where the policy says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from portal.alerts import services as alerts
from portal.alerts.models import Alert
from portal.environments.models import QueuePolicy
from portal.maps.models import MapState, TableMap
from portal.maps.queries import queue_sizes
from portal.sync.skipping import save_and_stop

ALERT = "queue-limit"
NEAR = 0.8
"""From this share of a limit on it is said that it is near."""


def check(now: datetime | None = None) -> None:
    """Raise and clear the alerts of all queues, and do what the policy says."""
    now = now or timezone.now()
    found = queue_sizes()
    maps = TableMap.objects.filter(pk__in=list(found)).select_related("connection_set")
    raised: set[int] = set()
    for one in maps:
        used = _used(one, found[one.pk], now)
        if used < NEAR:
            continue
        raised.add(one.pk)
        _tell(one, found[one.pk], used, now)
        policy = one.connection_set.queue_policy
        if used >= 1 and policy == QueuePolicy.STOP and one.state == MapState.PAUSED:
            save_and_stop(one, "Its queue passed the limits of the connection set.")
    over = Alert.objects.filter(kind=ALERT, closed_at=None).exclude(
        table_map__in=raised
    )
    ids = list(over.values_list("pk", flat=True))
    if ids:
        alerts.clear_alerts(ids)


def _used(one: TableMap, queue: Mapping[str, Any], now: datetime) -> float:
    """The larger share of both limits."""
    links = one.connection_set
    minutes = (now - queue["oldest"]).total_seconds() / 60
    return max(
        minutes / links.queue_warn_minutes if links.queue_warn_minutes else 0.0,
        queue["bytes"] / links.queue_warn_bytes if links.queue_warn_bytes else 0.0,
    )


def _tell(one: TableMap, queue: Mapping[str, Any], used: float, now: datetime) -> None:
    minutes = (now - queue["oldest"]).total_seconds() / 60
    size = (
        f"{queue['number']:,} changes, {queue['bytes'] / 1_000_000:,.1f} MB, the "
        f"oldest {minutes:,.0f} minutes old"
    )
    word = "has passed its limits" if used >= 1 else "is near its limits"
    alerts.raise_alert(
        ALERT,
        f"The queue of {one.name} {word}: {size}. Resume the map, or skip to live.",
        table_map=one,
        severity="error" if used >= 1 else "warning",
        used_percent=round(used * 100),
    )
