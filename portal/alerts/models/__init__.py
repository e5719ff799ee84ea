"""Alerts, the rules that raise them, and the messages about them."""

from __future__ import annotations

from portal.alerts.models.alert import Alert, Severity
from portal.alerts.models.message import (
    Channel,
    Delivery,
    DeliveryState,
    InboxItem,
    Occasion,
    Webhook,
)
from portal.alerts.models.rule import (
    EVENTS,
    AlertRule,
    Digest,
    Measure,
    RuleAction,
    RuleFiring,
    RuleTelling,
)

__all__ = [
    "EVENTS",
    "Alert",
    "AlertRule",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Digest",
    "InboxItem",
    "Measure",
    "Occasion",
    "RuleAction",
    "RuleFiring",
    "RuleTelling",
    "Severity",
    "Webhook",
]
