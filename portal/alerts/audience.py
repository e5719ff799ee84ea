"""Who is told by a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from portal.accounts.models import User
from portal.accounts.people import who_may, who_sees, within_limits
from portal.accounts.roles import Right
from portal.alerts.models import Alert, AlertRule, Channel, Delivery, Webhook


@dataclass(frozen=True)
class Audience:
    """Mail addresses (each once), users for the inbox, and webhooks. `unreachable`
    are names of users who have no mail address, `blind` of those who may not see it
    and so are not told."""

    addresses: tuple[str, ...]
    users: tuple[int, ...]
    webhooks: tuple[Webhook, ...]
    unreachable: tuple[str, ...]
    blind: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True when nobody is named."""
        return not (self.addresses or self.users or self.webhooks)


def audience_of(rule: AlertRule, alert: Alert | None = None) -> Audience:
    """Active people of the rule and of its groups who may see pages, and the alert if
    one is given; its further addresses, and its webhooks that are enabled."""
    named = Q(pk__in=rule.users.all()) | Q(groups__in=rule.groups.all())
    all_named = User.objects.filter(named, is_active=True).distinct()
    people = [
        one
        for one in who_may(Right.SEE).filter(pk__in=all_named.values("pk"))
        if alert is None or within_limits(one, alert)
    ]
    blind = all_named.exclude(pk__in=[one.pk for one in people]).order_by("username")
    found = {one.email.lower(): one.email for one in people if one.email}
    for address in addresses_in(rule.recipients):
        found.setdefault(address.lower(), address)
    return Audience(
        addresses=tuple(found.values()),
        users=tuple(one.pk for one in people),
        webhooks=tuple(rule.webhooks.filter(enabled=True)),
        unreachable=tuple(one.get_username() for one in people if not one.email),
        blind=tuple(blind.values_list("username", flat=True)),
    )


def everybody(alert: Alert) -> tuple[int, ...]:
    """All who may see the alert: the inbox of what no rule gives to anybody."""
    return tuple(one.pk for one in who_sees(alert))


def kept_from(delivery: Delivery, row: Any) -> bool:
    """Whether a mail must not tell of this row (an alert, a cause): its address is that
    of people who may not see it now, and nobody wrote the address into the rule."""
    address = delivery.recipient
    if row is None or delivery.channel != Channel.MAIL:
        return False
    theirs = User.objects.filter(email__iexact=address)
    if not theirs.exists():
        return False
    for rule in AlertRule.objects.filter(name=delivery.rule):
        if address.lower() in map(str.lower, addresses_in(rule.recipients)):
            return False
    seeing = who_may(Right.SEE).filter(email__iexact=address)
    return not any(within_limits(one, row) for one in seeing)


def addresses_in(text: str) -> list[str]:
    """The addresses of a text, separated by commas, semicolons or lines."""
    for mark in ";\n\r":
        text = text.replace(mark, ",")
    return [part.strip() for part in text.split(",") if part.strip()]


def bad_addresses(text: str) -> list[str]:
    """Those that are no mail addresses."""
    bad = []
    for address in addresses_in(text):
        try:
            validate_email(address)
        except ValidationError:
            bad.append(address)
    return bad
