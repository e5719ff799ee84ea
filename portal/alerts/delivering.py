"""Sending what waits in the outbox: claimed by one statement, tried again with
growing pauses. A message may arrive twice when a process dies between sending and
writing that down; its Message-ID or delivery number is then the same."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from django.db import connection, transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import rendering, webhooks
from portal.alerts.audience import kept_from
from portal.alerts.models import (
    Channel,
    Delivery,
    DeliveryState,
    Occasion,
    Webhook,
)
from portal.alerts.timing import next_attempt
from portal.mailing.configuration import Outgoing, outgoing
from portal.mailing.sending import Postbox, postbox
from portal.refusals import NotFound, Refusal
from portal.transporting import TransportError

if TYPE_CHECKING:
    from portal.accounts.models import User

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 40.0
STALE = timedelta(minutes=5)
TOGETHER = 500

_CLAIM = """
WITH first AS (
    SELECT id, channel, recipient, digest FROM alerts_delivery
    WHERE state = 'waiting' AND not_before <= %(now)s AND channel = ANY(%(channels)s)
    ORDER BY not_before, id LIMIT 1 FOR UPDATE SKIP LOCKED
), others AS (
    SELECT d.id FROM alerts_delivery d JOIN first f ON f.digest <> ''
        AND d.digest <> '' AND d.channel = f.channel AND d.recipient = f.recipient
    WHERE d.state = 'waiting' AND d.not_before <= %(now)s AND d.id <> f.id
    ORDER BY d.id LIMIT %(together)s FOR UPDATE OF d SKIP LOCKED
)
UPDATE alerts_delivery SET state = 'sending', claimed_at = %(now)s,
    attempts = attempts + 1
WHERE state = 'waiting'
    AND id IN (SELECT id FROM first UNION ALL SELECT id FROM others)
RETURNING id
"""


def deliver_due(*, seconds: float = BUDGET_SECONDS) -> int:
    """Send what is due, until nothing is or the time is used up; gives the number of
    messages that were taken. Several may do so at the same time."""
    free_left_behind(timezone.now())
    until = time.monotonic() + seconds
    taken = 0
    with ExitStack() as stack:
        sender = _Sender(stack)
        while time.monotonic() < until:
            claimed = _claim(sender.channels)
            if not claimed:
                break
            taken += sender.send(claimed)
    return taken


def free_left_behind(now: datetime) -> int:
    """Let others send what somebody claimed and did not finish."""
    return Delivery.objects.filter(
        state=DeliveryState.SENDING, claimed_at__lt=now - STALE
    ).update(state=DeliveryState.WAITING)


def _claim(channels: Sequence[str]) -> list[Delivery]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "now": timezone.now(),
                "channels": list(channels),
                "together": TOGETHER,
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    return list(
        Delivery.objects.filter(pk__in=ids)
        .select_related("alert__connection_set", "alert__table_map", "webhook")
        .order_by("pk")
    )


class _Sender:
    """Sends claimed messages; one session with the mail server for all of them. Once
    that server fails as such, mail rests until the next time."""

    def __init__(self, stack: ExitStack) -> None:
        self.channels: list[str] = list(Channel.values)
        self._stack = stack
        self._box: Postbox | None = None
        self._way: Outgoing = outgoing()

    def send(self, claimed: Sequence[Delivery]) -> int:
        """Send them (several only in a digest) and write down what became of them."""
        claimed = _allowed(claimed)
        if not claimed:
            return 0
        try:
            words = self._send(claimed)
        except TransportError as error:
            _failed(claimed, error)
            if error.everything and Channel.MAIL in self.channels:
                self.channels.remove(Channel.MAIL)
            return 0
        _finish(
            claimed,
            state=DeliveryState.SENT,
            sent_at=timezone.now(),
            code="",
            message=words,
        )
        return len(claimed)

    def _send(self, claimed: Sequence[Delivery]) -> str:
        first = claimed[0]
        if first.channel == Channel.MAIL:
            if self._box is None:
                self._box = self._stack.enter_context(postbox(self._way))
            self._box.send(rendering.mail_of(claimed, self._way))
            return f"Taken by {self._way.host}."
        if first.webhook is None or not first.webhook.enabled:
            raise TransportError(
                "disabled", f"{first.recipient} is switched off.", permanent=True
            )
        now = timezone.now()
        return webhooks.post(
            first.webhook,
            rendering.body_of(first, self._way, now),
            event=rendering.event_of(first),
            delivery=first.pk,
            moment=int(now.timestamp()),
        )


def _allowed(claimed: Sequence[Delivery]) -> list[Delivery]:
    """Those whose recipient may see what they tell; rights may have changed since."""
    kept = [one for one in claimed if kept_from(one, one.alert)]
    for one in kept:
        words = f"{one.recipient} may not see this alert any more: nothing was sent."
        _finish([one], state=DeliveryState.FAILED, code="may_not_see", message=words)
    return [one for one in claimed if one not in kept]


def _failed(claimed: Sequence[Delivery], error: TransportError) -> None:
    now = timezone.now()
    for one in claimed:
        again = None if error.permanent else next_attempt(now, one.attempts)
        _finish(
            [one],
            state=DeliveryState.FAILED if again is None else DeliveryState.WAITING,
            not_before=again or one.not_before,
            code=error.code,
            message=error.message,
        )
    log.warning(
        "delivery.failed",
        delivery=claimed[0].pk,
        channel=claimed[0].channel,
        code=error.code,
        permanent=error.permanent,
    )


def _finish(claimed: Sequence[Delivery], **values: object) -> None:
    """Only what is still ours: somebody may have freed it meanwhile."""
    Delivery.objects.filter(
        pk__in=[one.pk for one in claimed],
        state=DeliveryState.SENDING,
        claimed_at=claimed[0].claimed_at,
    ).update(**values)


@transaction.atomic
def retry(ids: Iterable[int], *, user: User | None = None) -> int:
    """Send again, at once, what failed or waits for another attempt; gives its number.
    Raises NotFound for an unknown id."""
    wanted = set(ids)
    known = set(Delivery.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := wanted - known:
        names = ", ".join(str(pk) for pk in sorted(missing))
        raise NotFound(f"There is no message with id {names}.")
    number = Delivery.objects.filter(
        pk__in=wanted, state__in=(DeliveryState.FAILED, DeliveryState.WAITING)
    ).update(state=DeliveryState.WAITING, not_before=timezone.now(), attempts=0)
    if number:
        activity.record(
            "delivery.retried",
            f"{number} message{'' if number == 1 else 's'} about alerts sent again.",
            user=user,
            details={"deliveries": sorted(wanted)},
        )
    return number


def send_test_to(webhook: Webhook, *, user: User | None = None) -> str:
    """Send a test now; gives what was answered. Refuses with the reason where it was
    not taken. Either way it is among the sent messages."""
    now = timezone.now()
    row = Delivery.objects.create(
        channel=Channel.WEBHOOK,
        occasion=Occasion.TEST,
        recipient=webhook.name,
        webhook=webhook,
        state=DeliveryState.SENDING,
        not_before=now,
        claimed_at=now,
        attempts=1,
    )
    try:
        answer = webhooks.post(
            webhook,
            rendering.body_of(row, outgoing(), now),
            event=rendering.event_of(row),
            delivery=row.pk,
            moment=int(now.timestamp()),
        )
    except TransportError as error:
        _finish(
            [row], state=DeliveryState.FAILED, code=error.code, message=error.message
        )
        raise Refusal(error.message, code=error.code) from error
    _finish([row], state=DeliveryState.SENT, sent_at=timezone.now(), message=answer)
    activity.record("webhook.tested", f"Webhook {webhook.name} was tested.", user=user)
    return answer
