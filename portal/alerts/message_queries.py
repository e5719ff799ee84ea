"""Reading the messages about alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.http import urlencode

from portal.alerts.models import Channel, Delivery, DeliveryState


@dataclass(frozen=True)
class DeliveryFilter:
    """What the list is narrowed to."""

    state: str = ""
    channel: str = ""
    recipient: str = ""
    alert: int | None = None

    @staticmethod
    def read(values: Mapping[str, str]) -> DeliveryFilter:
        """From a query string; what is unknown is ignored."""
        state, channel = values.get("state", ""), values.get("channel", "")
        alert = values.get("alert", "")
        return DeliveryFilter(
            state=state if state in DeliveryState.values else "",
            channel=channel if channel in Channel.values else "",
            recipient=values.get("to", "").strip(),
            alert=int(alert) if alert.isdecimal() and len(alert) < 19 else None,
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(self.state or self.channel or self.recipient or self.alert)

    @property
    def query(self) -> str:
        """As a query string, for links."""
        values = {
            "state": self.state,
            "channel": self.channel,
            "to": self.recipient,
            "alert": self.alert or "",
        }
        return urlencode({name: value for name, value in values.items() if value})


def delivery_list(filters: DeliveryFilter) -> QuerySet[Delivery]:
    """The messages a filter selects, with their alerts."""
    rows = Delivery.objects.select_related("alert")
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.channel:
        rows = rows.filter(channel=filters.channel)
    if filters.recipient:
        rows = rows.filter(recipient__icontains=filters.recipient)
    if filters.alert is not None:
        rows = rows.filter(alert=filters.alert)
    return rows


def choices() -> dict[str, Any]:
    """What the filter offers."""
    return {"states": DeliveryState.choices, "channels": Channel.choices}
