"""What messages say: mails in two parts, and the JSON of webhooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from portal import labels
from portal.alerts.audience import kept_from
from portal.alerts.models import Alert, Delivery, Occasion
from portal.alerts.targets import target_of
from portal.errors.models import ErrorGroup
from portal.mailing.configuration import Outgoing
from portal.mailing.sending import message

NAME = "[Dual-write]"
MOST_IN_DIGEST = 100


@dataclass(frozen=True)
class Told:
    """One alert as a message shows it."""

    occasion: str
    word: str
    tone: str
    text: str
    facts: Sequence[tuple[str, Any]]
    cause: ErrorGroup | None
    button: str
    url: str
    alert_url: str


def mail_of(deliveries: Sequence[Delivery], way: Outgoing) -> EmailMultiAlternatives:
    """The mail for one delivery, or for those of a digest that go together."""
    first = deliveries[0]
    common = {
        "portal_url": way.portal_url,
        "rules_url": way.link("/alerts/rules/"),
        "rules": sorted({one.rule for one in deliveries if one.rule}),
    }
    identity = f"dualwrite-{first.pk}"
    if first.alert is None:
        return _mail("rule_test", way, first, "Test of an alert rule", common, identity)
    if len(deliveries) == 1 and not first.digest:
        told = _told(first, first.alert, way)
        identity = f"alert-{first.alert_id}-{first.occasion}-{first.pk}"
        subject = f"{told.word}: {told.text}"
        return _mail("alert", way, first, subject, {**common, "told": told}, identity)
    items = [_told(one, one.alert, way) for one in deliveries if one.alert]
    shown = items[:MOST_IN_DIGEST]
    number = len(items)
    context = {
        **common,
        "items": shown,
        "number": number,
        "more": number - len(shown),
        "alerts_url": way.link("/alerts/"),
        "period": "hour" if first.digest == "hourly" else "day",
    }
    subject = f"{number} message{'' if number == 1 else 's'} about alerts"
    return _mail("digest", way, first, subject, context, identity)


def _mail(
    template: str,
    way: Outgoing,
    delivery: Delivery,
    subject: str,
    context: dict[str, Any],
    identity: str,
) -> EmailMultiAlternatives:
    return message(
        way,
        delivery.recipient,
        f"{NAME} {subject}",
        render_to_string(f"emails/{template}.txt", context).strip() + "\n",
        render_to_string(f"emails/{template}.html", context),
        identity=identity,
        answers=f"alert-{delivery.alert_id}" if delivery.alert_id else "",
    )


def _told(delivery: Delivery, alert: Alert, way: Outgoing) -> Told:
    shown = labels.label("alert", alert.severity)
    word, tone = shown.word, shown.tone
    if delivery.occasion == Occasion.OVER:
        word, tone = "Over", "good"
    elif delivery.occasion == Occasion.REMINDER:
        word = f"Reminder, {word[:1].lower()}{word[1:]}"
    target = target_of(alert)
    cause = ErrorGroup.objects.filter(pk=alert.details.get("cause") or 0).first()
    if kept_from(delivery, cause):
        cause = None
    return Told(
        occasion=delivery.occasion,
        word=word,
        tone=tone,
        text=" ".join(alert.message.split()),
        facts=_facts(delivery, alert),
        cause=cause,
        button=target.word,
        url=way.link(target.path),
        alert_url=way.link(f"/alerts/{alert.pk}/"),
    )


def _facts(delivery: Delivery, alert: Alert) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if alert.connection_set is not None:
        facts.append(("Connection set", alert.connection_set.name))
    if alert.table_map is not None:
        facts.append(("Map", alert.table_map.name))
    facts.append(("Since", f"{alert.opened_at:%Y-%m-%d %H:%M} UTC"))
    if delivery.occasion == Occasion.OVER and alert.closed_at is not None:
        facts.append(("Until", f"{alert.closed_at:%Y-%m-%d %H:%M} UTC"))
    if alert.details.get("action") in ("pause", "stop"):
        word = "Pauses" if alert.details["action"] == "pause" else "Stops"
        facts.append(("What the rule does", f"{word} the map"))
    return facts


def event_of(delivery: Delivery) -> str:
    """The name of the event, such as `alert.opened`."""
    return f"alert.{delivery.occasion}"


def body_of(delivery: Delivery, way: Outgoing, now: datetime) -> bytes:
    """The JSON of a webhook; the same words for the same things as `dw alerts`."""
    alert = delivery.alert
    document: dict[str, Any] = {
        "event": event_of(delivery),
        "delivery": delivery.pk,
        "sent_at": now.isoformat(),
        "rule": delivery.rule or None,
        "alert": None,
    }
    if alert is not None:
        document["alert"] = {
            "id": alert.pk,
            "kind": alert.kind,
            "severity": alert.severity,
            "connection_set": alert.connection_set.name
            if alert.connection_set
            else None,
            "map": alert.table_map.name if alert.table_map else None,
            "message": alert.message,
            "details": alert.details,
            "count": alert.count,
            "opened_at": alert.opened_at.isoformat(),
            "closed_at": alert.closed_at.isoformat() if alert.closed_at else None,
            "url": way.link(f"/alerts/{alert.pk}/"),
            "cause_url": way.link(target_of(alert).path),
        }
    return json.dumps(document, default=str).encode()
