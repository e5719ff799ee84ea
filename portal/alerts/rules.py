"""Alert rules: evaluated every few seconds, acting once in their window."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import measures, services
from portal.alerts.measures import Reading
from portal.alerts.models import EVENTS, Alert, AlertRule, Measure, RuleAction
from portal.environments.models import ConnectionSet
from portal.maps import services as maps
from portal.maps.models import TableMap
from portal.maps.states import Action

PREFIX = "rule-"
RUN_DONE = "initial_sync_done"
KINDS = {
    RUN_DONE: Measure.RUN_DONE,
    "initial_sync_failed": Measure.RUN_FAILED,
    "drift": Measure.DRIFT,
}
"""Alerts that are raised when something happened, and the rules that wait for it."""

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
    rules = list(AlertRule.objects.filter(enabled=True).exclude(measure__in=EVENTS))
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
        measure=rule.measure,
        action=rule.action,
        value=reading.value,
        threshold=rule.threshold,
        **({"cause": reading.cause_id} if reading.cause_id else {}),
    )
    if rule.action == RuleAction.NOTIFY or not _claim(rule, subject, now):
        return
    chosen = [table_map] if table_map is not None else list(connection_set.maps.all())
    _act(rule, chosen, reading.words)


def rules_for(alert: Alert) -> list[AlertRule]:
    """The rules that an alert concerns: the one that raised it, those that wait for
    what it is about, those for any alert."""
    wanted = Q(measure=Measure.ANY_ALERT)
    own = alert.kind.removeprefix(PREFIX)
    if own != alert.kind and own.isdecimal():
        wanted |= Q(pk=int(own))
    if alert.kind in KINDS:
        wanted |= Q(measure=KINDS[alert.kind])
    differences = alert.details.get("differences")
    if isinstance(differences, int):
        wanted &= ~Q(measure=Measure.DRIFT) | Q(threshold__lte=differences)
    rules = AlertRule.objects.filter(wanted, enabled=True)
    scope = Q(table_map=None, connection_set=None)
    if alert.table_map_id is not None:
        scope |= Q(table_map=alert.table_map_id)
    if alert.connection_set_id is not None:
        scope |= Q(table_map=None, connection_set=alert.connection_set_id)
    # A rule's own alert is within its scope, also one about a whole stream.
    rules = rules.filter(scope | (Q(pk=int(own)) if own.isdecimal() else Q(pk=0)))
    # An announcement is no alert: only those who asked for it are told.
    if alert.kind == RUN_DONE:
        rules = rules.filter(measure=Measure.RUN_DONE)
    return sorted(rules, key=lambda one: (one.measure == Measure.ANY_ALERT, one.name))


@transaction.atomic
def happened(alert: Alert, now: datetime) -> None:
    """Do what rules ask for that wait for this event: once in their window."""
    if alert.table_map is None or alert.kind not in KINDS:
        return
    for rule in rules_for(alert):
        acting = rule.measure != Measure.ANY_ALERT and rule.action != RuleAction.NOTIFY
        if acting and _claim(rule, alert.subject, now):
            _act(rule, [alert.table_map], alert.message)


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


def _act(rule: AlertRule, chosen: Iterable[TableMap], words: str) -> None:
    action = Action(rule.action)
    able = [one for one in chosen if action in maps.allowed_actions(one.state)]
    if not able:
        return
    result = maps.perform(action, able)
    activity.record(
        "alert_rule.acted",
        f"Alert rule {rule.name} ({words}): {action.value} "
        f"{', '.join(one.name for one in result.changed)}.",
        connection_set=able[0].connection_set,
        table_map=able[0] if len(able) == 1 else None,
        correlation_id=result.correlation_id,
    )
