"""Making messages out of alerts. What must be told is found in the rows of the alerts,
so nothing is lost when a process dies; each alert is told by one process."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.alerts import rules
from portal.alerts.audience import Audience, audience_of, everybody
from portal.alerts.models import (
    Alert,
    AlertRule,
    Channel,
    Delivery,
    Digest,
    InboxItem,
    Occasion,
)
from portal.alerts.timing import due_at
from portal.mailing.configuration import outgoing

PORTION = 100

_CLAIM = """
INSERT INTO alerts_ruletelling AS t (rule_id, subject, told_at)
VALUES (%(rule)s, %(subject)s, %(now)s)
ON CONFLICT (rule_id, subject) DO UPDATE SET told_at = excluded.told_at
WHERE t.told_at <= %(since)s
RETURNING id
"""


def tell(now: datetime | None = None) -> int:
    """Make the messages about alerts that opened, whose snooze ended, or that are
    over; gives the number of alerts."""
    now = now or timezone.now()
    told = 0
    for occasion, rows in (
        (Occasion.OPENED, Alert.objects.filter(told_at=None)),
        (Occasion.REMINDER, Alert.objects.filter(snoozed_until__lte=now)),
        (
            Occasion.OVER,
            Alert.objects.filter(over_told_at=None).exclude(closed_at=None),
        ),
    ):
        while alerts := _portion(occasion, rows, now):
            told += len(alerts)
            # Not while alerts are locked: others lock a map first and then its alert.
            for alert in alerts if occasion is Occasion.OPENED else ():
                rules.happened(alert, now)
    return told


@transaction.atomic
def _portion(occasion: Occasion, rows: QuerySet[Alert], now: datetime) -> list[Alert]:
    claimed = list(
        rows.select_for_update(of=("self",), skip_locked=True)
        .select_related("connection_set", "table_map")
        .order_by("pk")[:PORTION]
    )
    if not claimed:
        return []
    made = Alert.objects.filter(pk__in=[alert.pk for alert in claimed])
    if occasion is Occasion.OPENED:
        made.update(told_at=now)
    elif occasion is Occasion.REMINDER:
        made.update(snoozed_until=None)
    else:
        made.update(over_told_at=now, snoozed_until=None)
    for alert in claimed:
        if occasion is Occasion.OVER:
            _tell_over(alert, now)
        elif occasion is Occasion.OPENED or alert.closed_at is None:
            _tell(alert, occasion, now)
    return claimed


def _tell(alert: Alert, occasion: Occasion, now: datetime) -> None:
    known: set[tuple[str, str]] = set()
    users: set[int] = set()
    quiet = False
    for rule in rules.rules_for(alert):
        audience = audience_of(rule, alert)
        fresh = _claim(rule, alert, now) or occasion is Occasion.REMINDER
        quiet |= bool(audience.users) and not fresh
        if not fresh:
            continue
        users.update(audience.users)
        _deliver(rule, audience, alert, occasion, known, now)
    if not users and not quiet and alert.kind != rules.RUN_DONE:
        users.update(everybody(alert))
    _to_inbox(alert, users, now)


def _claim(rule: AlertRule, alert: Alert, now: datetime) -> bool:
    """True for the one who may tell: nobody has within the cooldown."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "rule": rule.pk,
                "subject": f"{alert.severity} {alert.kind} {alert.subject}",
                "now": now,
                "since": now - timedelta(minutes=rule.cooldown_minutes),
            },
        )
        return cursor.fetchone() is not None


def _deliver(
    rule: AlertRule,
    audience: Audience,
    alert: Alert | None,
    occasion: Occasion,
    known: set[tuple[str, str]],
    now: datetime,
) -> int:
    """Rows of the outbox for one rule; whoever is in `known` has it already."""
    testing = occasion is Occasion.TEST
    digest = "" if testing or rule.digest == Digest.AT_ONCE else rule.digest
    due = now if testing else _due(rule, now)
    made = [
        Delivery(channel=Channel.MAIL, recipient=one, digest=digest, not_before=due)
        for one in audience.addresses
    ] + [
        Delivery(
            channel=Channel.WEBHOOK, recipient=hook.name, webhook=hook, not_before=now
        )
        for hook in audience.webhooks
    ]
    fresh = [one for one in made if (one.channel, one.recipient.lower()) not in known]
    for one in fresh:
        one.alert, one.occasion, one.rule = alert, occasion, rule.name
        known.add((one.channel, one.recipient.lower()))
    Delivery.objects.bulk_create(fresh)
    return len(fresh)


def _tell_over(alert: Alert, now: datetime) -> None:
    """Whoever was told of the alert is told of its end, where the rule says so."""
    told = Delivery.objects.filter(
        alert=alert, occasion__in=(Occasion.OPENED, Occasion.REMINDER)
    )
    by_name = {rule.name: rule for rule in AlertRule.objects.filter(tell_over=True)}
    last: dict[tuple[str, str], Delivery] = {
        (one.channel, one.recipient.lower()): one
        for one in told.filter(rule__in=by_name).order_by("pk")
    }
    Delivery.objects.bulk_create(
        Delivery(
            alert=alert,
            rule=one.rule,
            channel=one.channel,
            occasion=Occasion.OVER,
            recipient=one.recipient,
            webhook_id=one.webhook_id,
            digest=one.digest,
            not_before=_over_due(one, now, by_name[one.rule]),
        )
        for one in last.values()
    )


def _over_due(told: Delivery, now: datetime, rule: AlertRule) -> datetime:
    """Not before the message that it ends; with the next digest where it is one."""
    if told.channel == Channel.WEBHOOK:
        return now
    due = _due(rule, now)
    return due if told.sent_at is not None else max(due, told.not_before)


def _due(rule: AlertRule, now: datetime) -> datetime:
    return due_at(
        now,
        rule.digest,
        outgoing().digest_hour,
        rule.quiet_from,
        rule.quiet_until,
        rule.time_zone,
    )


def _to_inbox(alert: Alert, users: Iterable[int], now: datetime) -> None:
    InboxItem.objects.bulk_create(
        [InboxItem(user_id=user, alert=alert, created_at=now) for user in users],
        update_conflicts=True,
        unique_fields=["user", "alert"],
        update_fields=["created_at", "read_at"],
    )


@transaction.atomic
def send_test(rule: AlertRule) -> int:
    """Send a test message to all whom the rule tells; gives their number."""
    return _deliver(rule, audience_of(rule), None, Occasion.TEST, set(), timezone.now())
