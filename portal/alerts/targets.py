"""Where an alert leads: the page on which its cause is seen and mended."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from portal.alerts.models import Alert, Measure

QUEUES = (Measure.QUEUE_CHANGES, Measure.QUEUE_BYTES, Measure.QUEUE_MINUTES)
RUNS = ("initial_sync_failed", "initial_sync_done")


@dataclass(frozen=True)
class Target:
    """The words of a link, and its path."""

    word: str
    path: str


def target_of(alert: Alert) -> Target:
    """The page that helps most: the cause of errors, the comparison, the queue, the
    map; else the dashboard."""
    details, map_id = alert.details, alert.table_map_id
    if details.get("cause"):
        return Target("Open the cause", reverse("cause_page", args=[details["cause"]]))
    if details.get("comparison"):
        path = reverse("comparison_page", args=[details["comparison"]])
        return Target("Open the comparison", path)
    if alert.kind.startswith("approval"):
        return Target("Open the approvals", reverse("approval_list"))
    if map_id is None:
        return Target("Open the dashboard", reverse("dashboard"))
    if alert.kind in RUNS:
        path = reverse("map_tab", args=[map_id, "initial-sync"])
        return Target("Open the initial sync", path)
    if alert.kind.startswith("conflict"):
        path = f"{reverse('conflict_list')}?map={map_id}"
        return Target("Open the conflicts", path)
    measure = details.get("measure")
    if measure in QUEUES or alert.kind == "queue-limit":
        return Target("Open the queue", reverse("map_tab", args=[map_id, "queued"]))
    if measure == Measure.ERRORS:
        return Target("Open the errors", reverse("map_tab", args=[map_id, "errors"]))
    return Target("Open the map", reverse("map_page", args=[map_id]))
