"""Adding, changing and deleting alert rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group
from django.db import transaction

from portal.accounts.models import time_zones
from portal.activity import services as activity
from portal.activity.changes import changes
from portal.alerts.audience import bad_addresses
from portal.alerts.models import EVENTS, AlertRule, Digest, Measure, RuleAction, Webhook
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.refusals import NotFound, Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

PLAIN = (
    *("name", "measure", "threshold", "window_minutes", "codes", "connection_set"),
    *("table_map", "action", "recipients", "digest", "cooldown_minutes"),
    *("quiet_from", "quiet_until", "time_zone", "tell_over", "enabled"),
)


@dataclass(frozen=True)
class Told:
    """Whom a rule tells, besides its mail addresses."""

    users: Iterable[User] = ()
    groups: Iterable[Group] = ()
    webhooks: Iterable[Webhook] = ()


@transaction.atomic
def save_rule(
    name: str,
    *,
    measure: str,
    threshold: int = 1,
    window_minutes: int = 15,
    action: str = RuleAction.NOTIFY,
    codes: str = "",
    recipients: str = "",
    told: Told | None = None,
    connection_set: ConnectionSet | None = None,
    table_map: TableMap | None = None,
    digest: str = Digest.AT_ONCE,
    cooldown_minutes: int = 15,
    quiet_from: time | None = None,
    quiet_until: time | None = None,
    time_zone: str = "UTC",
    tell_over: bool = True,
    enabled: bool = True,
    rule: AlertRule | None = None,
    by_name: bool = True,
    user: User | None = None,
) -> tuple[AlertRule, bool]:
    """Add a rule, or change the given one or (`by_name`) the one of that name; true
    when it was added. It counts at once. `told` None leaves people, groups and
    webhooks as they are. Refuses what makes no sense."""
    if measure in EVENTS and measure != Measure.DRIFT:
        threshold = 1
    values: dict[str, Any] = {
        "name": name,
        "measure": Measure(measure).value,
        "threshold": threshold,
        "window_minutes": window_minutes,
        "action": RuleAction(action).value,
        "codes": codes,
        "recipients": recipients,
        "connection_set": connection_set,
        "table_map": table_map,
        "digest": Digest(digest).value,
        "cooldown_minutes": cooldown_minutes,
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
        "time_zone": time_zone,
        "tell_over": tell_over,
        "enabled": enabled,
    }
    row = rule
    if row is None and by_name:
        row = AlertRule.objects.filter(name=name).first()
    _refuse(values, row)
    added = row is None
    before = {} if row is None else shown(row)
    row = row or AlertRule()
    for field, value in values.items():
        setattr(row, field, value)
    row.save()
    if told is not None:
        row.users.set(told.users)
        row.groups.set(told.groups)
        row.webhooks.set(told.webhooks)
    note_rule(row, "added" if added else "changed", before=before, user=user)
    return row, added


def _refuse(values: dict[str, Any], row: AlertRule | None) -> None:
    reasons = []
    if not values["name"].strip():
        reasons.append("Give the rule a name.")
    same = AlertRule.objects.filter(name=values["name"])
    if same.exclude(pk=row.pk if row else None).exists():
        reasons.append(f"There is a rule {values['name']} already.")
    if values["threshold"] <= 0 or values["window_minutes"] <= 0:
        reasons.append("The threshold and the window must be above zero.")
    if values["cooldown_minutes"] < 0:
        reasons.append("The cooldown cannot be below zero.")
    if (values["quiet_from"] is None) != (values["quiet_until"] is None):
        reasons.append("Give both ends of the quiet hours, or none.")
    elif values["quiet_from"] and values["quiet_from"] == values["quiet_until"]:
        reasons.append("Quiet hours that end when they begin would be the whole day.")
    if values["time_zone"] not in time_zones():
        reasons.append(f"There is no time zone {values['time_zone']}.")
    if values["measure"] == Measure.ANY_ALERT and values["action"] != RuleAction.NOTIFY:
        reasons.append(
            "A rule for any alert can only tell: choose what to look at to pause or "
            "stop maps."
        )
    for address in bad_addresses(values["recipients"]):
        reasons.append(f"{address} is no mail address.")
    if reasons:
        raise Refusal(
            reasons[0] if len(reasons) == 1 else "The rule was not saved.",
            code="bad_rule",
            reasons=reasons if len(reasons) > 1 else (),
        )


def shown(rule: AlertRule) -> dict[str, Any]:
    """A rule as the activity log shows it."""
    values = {name: getattr(rule, name) for name in PLAIN}
    for name in ("measure", "action", "digest"):
        values[name] = getattr(rule, f"get_{name}_display")()
    for name in ("connection_set", "table_map"):
        values[name] = str(values[name]) if values[name] else "all"
    for name in ("users", "groups", "webhooks"):
        values[name] = ", ".join(sorted(str(one) for one in getattr(rule, name).all()))
    return values


@transaction.atomic
def switch_rule(rule: AlertRule, enabled: bool, *, user: User | None = None) -> None:
    """Switch a rule on or off; it counts at once."""
    if rule.enabled == enabled:
        return
    before = shown(rule)
    rule.enabled = enabled
    rule.save(update_fields=["enabled"])
    word = "switched on" if enabled else "switched off"
    note_rule(rule, "changed", before=before, word=word, user=user)


@transaction.atomic
def delete_rule(name: str, *, user: User | None = None) -> None:
    """Delete a rule; its open alerts close at the next evaluation."""
    rule = AlertRule.objects.filter(name=name).first()
    if rule is None:
        raise NotFound(f"There is no alert rule {name}.")
    note_rule(rule, "deleted", user=user)
    rule.delete()


def note_rule(
    rule: AlertRule,
    what: str,
    *,
    before: dict[str, Any] | None = None,
    word: str = "",
    user: User | None = None,
) -> None:
    """Write to the activity log that a rule was added, changed or deleted; nothing
    where a change changed nothing."""
    found = changes(before, shown(rule)) if before is not None else []
    if before and not found:
        return
    activity.record(
        f"alert_rule.{what}",
        f"Alert rule {rule.name} was {word or what}.",
        user=user,
        connection_set=rule.connection_set,
        table_map=rule.table_map,
        details={"changes": found} if found else {},
    )
