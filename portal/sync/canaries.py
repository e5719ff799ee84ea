"""Whether signs of life come through the streams, and telling people when not."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from portal.alerts import services as alerts
from portal.environments.models import ConnectionSet, Stream
from portal.maps.models import Leg
from portal.maps.queries import is_stalled
from syncengine.mapping.model import Side
from syncengine.ports import LegMode

KIND = "stream_stalled"


def watch(now: datetime | None = None) -> int:
    """Raise an alert for every stream through which nothing comes, clear those of the
    others; gives the number of stalled streams."""
    now = now or timezone.now()
    used = set(
        Leg.objects.exclude(mode=LegMode.OFF.value).values_list(
            "table_map__connection_set", flat=True
        )
    )
    stalled = 0
    streams = Stream.objects.select_related("connection_set").order_by("pk")
    for stream in streams:
        about = f"from {stream.source}"
        if stream.connection_set_id in used and is_stalled(stream, now):
            stalled += 1
            alerts.raise_alert(
                KIND,
                _message(stream.connection_set, stream),
                connection_set=stream.connection_set,
                severity="error",
                about=about,
            )
        else:
            alerts.clear_alert(KIND, connection_set=stream.connection_set, about=about)
    return stalled


def _message(connection_set: ConnectionSet, stream: Stream) -> str:
    source = Side(stream.source)
    return (
        f"{connection_set.name}: nothing has come from "
        f"{connection_set.environment(source).name} to "
        f"{connection_set.environment(source.other).name} for a while, though the "
        "stream runs. Look for a long transaction or a lock on the other side."
    )
