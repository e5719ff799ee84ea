"""Reading the activity log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.http import urlencode

from portal.activity.models import SUBJECT, ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.pages import sharing

SUBJECTS = (
    ("map", "Maps"),
    ("run", "Initial syncs"),
    ("errors", "Errors"),
    ("conflict", "Conflicts"),
    ("stream", "Streams"),
    ("alert", "Alerts"),
    ("alert_rule", "Alert rules"),
    ("connection_set", "Connection sets"),
    ("environment", "Environments"),
    ("setup", "Set-up"),
)


@dataclass(frozen=True)
class ActivityFilter:
    """What the log is narrowed to. `fixed_map` when it is a map's own tab."""

    map_id: int | None = None
    connection_set: int | None = None
    subject: str = ""
    correlation: str = ""
    fixed_map: bool = False

    @staticmethod
    def read(values: Mapping[str, str], *, map_id: int | None = None) -> ActivityFilter:
        """From a query string; what is unknown is ignored."""
        return ActivityFilter(
            map_id=map_id if map_id is not None else _whole(values.get("map", "")),
            connection_set=_whole(values.get("set", "")),
            subject=values.get("kind", "").strip(),
            correlation=values.get("correlation", "").strip(),
            fixed_map=map_id is not None,
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        map_chosen = self.map_id is not None and not self.fixed_map
        return bool(
            map_chosen or self.connection_set or self.subject or self.correlation
        )

    @property
    def shared(self) -> str:
        """The column all events of the list share, with an index before the id."""
        if self.map_id is not None:
            return "table_map_id"
        return "connection_set_id" if self.connection_set is not None else ""

    @property
    def query(self) -> str:
        """As a query string, for links."""
        values = {
            "map": self.map_id or "",
            "set": self.connection_set or "",
            "kind": self.subject,
            "correlation": self.correlation,
        }
        return urlencode({name: value for name, value in values.items() if value})


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def activity_list(filters: ActivityFilter) -> QuerySet[ActivityEvent]:
    """The events a filter selects, with who and which map."""
    rows = ActivityEvent.objects.select_related("user", "table_map", "connection_set")
    if filters.map_id is not None:
        rows = sharing(rows, "table_map_id", filters.map_id)
    if filters.connection_set is not None:
        rows = sharing(rows, "connection_set_id", filters.connection_set)
    if filters.subject:
        rows = rows.alias(subject=SUBJECT).filter(subject=filters.subject)
    if filters.correlation:
        rows = rows.filter(correlation_id=filters.correlation)
    return rows


def choices() -> dict[str, Any]:
    """What the filter offers."""
    return {
        "maps": list(TableMap.objects.order_by("name").values_list("pk", "name")),
        "sets": list(ConnectionSet.objects.order_by("name").values_list("pk", "name")),
        "subjects": SUBJECTS,
    }
