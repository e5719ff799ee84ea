"""Reads about streams: who is alive, who has heard the newest revision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from portal.environments.models import Stream, StreamState

ALIVE_WITHIN = timedelta(seconds=5)


def unacknowledged(
    connection_set_ids: Sequence[int], now: datetime | None = None
) -> QuerySet[Stream]:
    """Streams that are alive and have not yet taken the newest revision over."""
    return Stream.objects.filter(
        connection_set__in=connection_set_ids,
        state__in=(StreamState.RUNNING, StreamState.RETRYING),
        heartbeat_at__gte=(now or timezone.now()) - ALIVE_WITHIN,
        acknowledged_revision__lt=F("connection_set__revision"),
    )


def heard_within(connection_set_ids: Sequence[int], seconds: float) -> bool:
    """Whether any stream of these sets has reported lately."""
    since = timezone.now() - timedelta(seconds=seconds)
    return Stream.objects.filter(
        connection_set__in=connection_set_ids, heartbeat_at__gte=since
    ).exists()
