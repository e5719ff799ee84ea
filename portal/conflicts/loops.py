"""What happens when two rules undo each other: the maps are paused, people told."""

from __future__ import annotations

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from syncengine.ports import LoopFound

ALERT = "loop"


def pause_loop(loop: LoopFound) -> None:
    """Pause the maps of a loop that still run, and raise an alert that names both
    rules. Their changes wait in the queue; nothing is lost."""
    found = list(
        TableMap.objects.filter(pk__in=loop.map_ids).select_related("connection_set")
    )
    running = [one for one in found if one.state == MapState.RUNNING]
    if running:
        maps.pause(running)
    for table_map in found:
        alerts.raise_alert(
            ALERT,
            loop.message,
            table_map=table_map,
            severity="error",
            rules=list(loop.rules),
            record=list(loop.key),
            column=loop.column,
        )
        activity.record(
            "map.loop",
            loop.message,
            table_map=table_map,
            details={"rules": list(loop.rules), "record": list(loop.key)},
        )
