"""Alert rules: evaluated every few seconds, acting once in their window."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import measures, services
from portal.alerts.measures import Reading
from portal.alerts.models import Alert, AlertRule, Measure, RuleAction
from portal.environments.models import ConnectionSet
from portal.maps import services as maps
from portal.maps.models import TableMap
from portal.maps.states import Action
from portal.refusals import NotFound, Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

PREFIX = "rule-"

_FIRE = """
INSERT INTO alerts_rulefiring AS f (rule_id, subject, fired_at)
VALUES (%(rule)s, %(subject)s, %(now)s)
ON CONFLICT (rule_id, subject) DO UPDATE SET fired_at = excluded.fired_at
WHERE f.fired_at <= %(since)s
RETURNING id
"""


def evaluate(now: datetime | None = None) -> None:
    """Raise the alerts of all enabled rules, clear those that are over, and do what
    rules ask for: once for each map in a rule's window, whoever evaluates."""
    now = now or timezone.now()
    rules = list(AlertRule.objects.filter(enabled=True))
    reached: dict[str, set[str]] = {f"{PREFIX}{rule.pk}": set() for rule in rules}
    for rule in rules:
        for reading in measures.read(rule, now):
            if reading.value >= rule.threshold:
                subject = services.subject_of(
                    reading.connection_set_id, reading.table_map_id, reading.about
                )
                reached[f"{PREFIX}{rule.pk}"].add(subject)
                _reached(rule, reading, subject, now)
    over = [
        alert.pk
        for alert in Alert.objects.filter(closed_at=None, kind__startswith=PREFIX)
        if alert.subject not in reached.get(alert.kind, ())
    ]
    if over:
        services.clear_alerts(over)


@transaction.atomic
def _reached(rule: AlertRule, reading: Reading, subject: str, now: datetime) -> None:
    connection_set = ConnectionSet.objects.get(pk=reading.connection_set_id)
    table_map = None
    if reading.table_map_id is not None:
        table_map = TableMap.objects.get(pk=reading.table_map_id)
    name = table_map.name if table_map is not None else connection_set.name
    services.raise_alert(
        f"{PREFIX}{rule.pk}",
        f"{name}: {reading.words} (rule {rule.name}).",
        connection_set=connection_set,
        table_map=table_map,
        severity="error" if rule.action != RuleAction.NOTIFY else "warning",
        about=reading.about,
        rule=rule.name,
        value=reading.value,
        threshold=rule.threshold,
    )
    if rule.action == RuleAction.NOTIFY or not _claim(rule, subject, now):
        return
    chosen = [table_map] if table_map is not None else list(connection_set.maps.all())
    _act(rule, chosen, reading)


def _claim(rule: AlertRule, subject: str, now: datetime) -> bool:
    """True for the one who may act: nobody has within the window."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FIRE,
            {
                "rule": rule.pk,
                "subject": subject,
                "now": now,
                "since": now - timedelta(minutes=rule.window_minutes),
            },
        )
        return cursor.fetchone() is not None


def _act(rule: AlertRule, chosen: Iterable[TableMap], reading: Reading) -> None:
    action = Action(rule.action)
    able = [one for one in chosen if action in maps.allowed_actions(one.state)]
    if not able:
        return
    result = maps.perform(action, able)
    activity.record(
        "alert_rule.acted",
        f"Alert rule {rule.name} ({reading.words}): {action.value} "
        f"{', '.join(one.name for one in result.changed)}.",
        connection_set=able[0].connection_set,
        table_map=able[0] if len(able) == 1 else None,
        correlation_id=result.correlation_id,
    )


def save_rule(
    name: str,
    *,
    measure: str,
    threshold: int,
    window_minutes: int = 15,
    action: str = RuleAction.NOTIFY,
    codes: str = "",
    recipients: str = "",
    connection_set: ConnectionSet | None = None,
    table_map: TableMap | None = None,
    enabled: bool = True,
    user: User | None = None,
) -> tuple[AlertRule, bool]:
    """Add a rule, or change the one of that name; true when it was added. It counts
    at once. Refuses what makes no sense."""
    if threshold <= 0 or window_minutes <= 0:
        raise Refusal(
            "The threshold and the window must be above zero.", code="bad_rule"
        )
    rule, added = AlertRule.objects.update_or_create(
        name=name,
        defaults={
            "measure": Measure(measure).value,
            "threshold": threshold,
            "window_minutes": window_minutes,
            "action": RuleAction(action).value,
            "codes": codes,
            "recipients": recipients,
            "connection_set": connection_set,
            "table_map": table_map,
            "enabled": enabled,
        },
    )
    note_rule(rule, "added" if added else "changed", user=user)
    return rule, added


def delete_rule(name: str, *, user: User | None = None) -> None:
    """Delete a rule; its open alerts close at the next evaluation."""
    rule = AlertRule.objects.filter(name=name).first()
    if rule is None:
        raise NotFound(f"There is no alert rule {name}.")
    note_rule(rule, "deleted", user=user)
    rule.delete()


def note_rule(rule: AlertRule, what: str, *, user: User | None = None) -> None:
    """Write to the activity log that a rule was added, changed or deleted."""
    activity.record(
        f"alert_rule.{what}",
        f"Alert rule {rule.name} was {what}.",
        user=user,
        connection_set=rule.connection_set,
        table_map=rule.table_map,
    )
