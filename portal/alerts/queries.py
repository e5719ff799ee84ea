"""Reading alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.utils import timezone
from django.utils.http import urlencode

from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.alerts.models import Alert, Severity
from portal.environments.models import ConnectionSet

SHOWN_ON_DASHBOARD = 5

_WORST_FIRST = Case(
    When(severity=Severity.ERROR, then=Value(0)),
    When(severity=Severity.WARNING, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


@dataclass(frozen=True)
class AlertFilter:
    """What the list is narrowed to; `state` is open, closed or all."""

    state: str = "open"
    severity: str = ""
    connection_set: int | None = None
    scope: Scope = EVERYTHING

    @staticmethod
    def read(values: Mapping[str, str], user: Any = None) -> AlertFilter:
        """From a query string; what is unknown is ignored."""
        state = values.get("state", "")
        severity = values.get("severity", "")
        chosen = values.get("set", "")
        return AlertFilter(
            state=state if state in ("closed", "all") else "open",
            severity=severity if severity in Severity.values else "",
            connection_set=int(chosen)
            if chosen.isdecimal() and len(chosen) < 19
            else None,
            scope=scope_of(user),
        )

    @property
    def narrowed(self) -> bool:
        """True when it is not simply all that is open."""
        return bool(self.state != "open" or self.severity or self.connection_set)

    @property
    def query(self) -> str:
        """As a query string, for links."""
        values = {
            "state": self.state if self.state != "open" else "",
            "severity": self.severity,
            "set": self.connection_set or "",
        }
        return urlencode({name: value for name, value in values.items() if value})


def alert_list(filters: AlertFilter) -> QuerySet[Alert]:
    """The alerts a filter selects, with what they are about."""
    rows = Alert.objects.within(filters.scope).select_related(
        "connection_set", "table_map", "acknowledged_by"
    )
    if filters.state != "all":
        rows = rows.filter(closed_at__isnull=filters.state == "open")
    if filters.severity:
        rows = rows.filter(severity=filters.severity)
    if filters.connection_set is not None:
        rows = rows.filter(connection_set=filters.connection_set)
    return rows


def choices(user: Any = None) -> dict[str, Any]:
    """What the filter offers."""
    return {
        "states": (("open", "Open"), ("closed", "Closed"), ("all", "All")),
        "severities": Severity.choices,
        "sets": list(
            ConnectionSet.objects.visible_to(user)
            .order_by("name")
            .values_list("pk", "name")
        ),
    }


@dataclass(frozen=True)
class OpenAlerts:
    """What the dashboard shows: the worst that nobody has acknowledged, and how many
    more there are (no further than a hundred)."""

    shown: list[Alert]
    more: int


def open_alerts(user: Any = None) -> OpenAlerts:
    """The worst unacknowledged alerts, in one query."""
    rows = list(
        Alert.objects.visible_to(user)
        .filter(closed_at=None, acknowledged_at=None)
        .exclude(snoozed_until__gt=timezone.now())
        .select_related("connection_set", "table_map")
        .order_by(_WORST_FIRST, "-id")[:100]
    )
    return OpenAlerts(rows[:SHOWN_ON_DASHBOARD], max(0, len(rows) - SHOWN_ON_DASHBOARD))
