"""Who is told by a rule."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from portal.accounts.models import User
from portal.alerts.models import AlertRule, Webhook


@dataclass(frozen=True)
class Audience:
    """Mail addresses (each once), users for the inbox, and webhooks. `unreachable`
    are names of users who have no mail address."""

    addresses: tuple[str, ...]
    users: tuple[int, ...]
    webhooks: tuple[Webhook, ...]
    unreachable: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """True when nobody is named."""
        return not (self.addresses or self.users or self.webhooks)


def audience_of(rule: AlertRule) -> Audience:
    """Active people of the rule and of its groups, its further addresses, and its
    webhooks that are enabled."""
    people = list(
        User.objects.filter(
            Q(pk__in=rule.users.all()) | Q(groups__in=rule.groups.all()),
            is_active=True,
        )
        .distinct()
        .order_by("username")
    )
    found = {one.email.lower(): one.email for one in people if one.email}
    for address in addresses_in(rule.recipients):
        found.setdefault(address.lower(), address)
    return Audience(
        addresses=tuple(found.values()),
        users=tuple(one.pk for one in people),
        webhooks=tuple(rule.webhooks.filter(enabled=True)),
        unreachable=tuple(one.get_username() for one in people if not one.email),
    )


def everybody() -> tuple[int, ...]:
    """All who work in the portal: the inbox of what no rule gives to anybody."""
    return tuple(
        User.objects.filter(is_active=True, is_staff=True).values_list("pk", flat=True)
    )


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
