"""Webhooks: JSON by POST, signed so that the receiver can tell it is ours."""

from __future__ import annotations

import hashlib
import hmac
import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.db import transaction

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.alerts.models import Webhook
from portal.alerts.models.message import new_secret
from portal.refusals import NotFound, Refusal
from portal.transporting import TransportError

if TYPE_CHECKING:
    from portal.accounts.models import User

TIMEOUT_SECONDS = 10
PASSING = (408, 425, 429)
READ_BYTES = 500


def signature(secret: str, moment: int, body: bytes) -> str:
    """`t=TIME,v1=HEX`: HMAC-SHA256 with the secret over the time, a dot, the body."""
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return f"t={moment},v1={signed.hexdigest()}"


def post(
    webhook: Webhook, body: bytes, *, event: str, delivery: int, moment: int
) -> str:
    """Send it; gives what was answered in short. TransportError says why it was not
    taken. Redirections are not followed: the secret's holder is at the address."""
    parts = urlsplit(webhook.url)
    kind = (
        http.client.HTTPSConnection
        if parts.scheme == "https"
        else http.client.HTTPConnection
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "dual-write-portal",
        "X-Dualwrite-Event": event,
        "X-Dualwrite-Delivery": str(delivery),
        "X-Dualwrite-Signature": signature(webhook.secret, moment, body),
    }
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        words = " ".join(answer.read(READ_BYTES).decode("utf-8", "replace").split())
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TransportError(
            "unreachable", f"{webhook.name} cannot be reached: {reason[:300]}."
        ) from error
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return f"{answer.status} {answer.reason}"
    raise TransportError(
        f"http_{answer.status}",
        f"{webhook.name} answers {answer.status} {answer.reason}: {words[:300]}",
        permanent=answer.status < 500 and answer.status not in PASSING,
    )


@transaction.atomic
def save_webhook(
    name: str,
    url: str,
    *,
    webhook: Webhook | None = None,
    enabled: bool = True,
    renew: bool = False,
    by_name: bool = True,
    user: User | None = None,
) -> Webhook:
    """Add one, or change the given one or (`by_name`) the one of that name; `renew`
    makes a new secret. Another address never gets the old one. Refuses what is no
    address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal(
            "The address of a webhook begins with https:// or http:// and a host.",
            code="bad_webhook",
        )
    if parts.username or parts.password:
        raise Refusal(
            "Leave user name and password out of the address: messages are signed.",
            code="bad_webhook",
        )
    row = webhook
    if row is None and by_name:
        row = Webhook.objects.filter(name=name).first()
    if Webhook.objects.filter(name=name).exclude(pk=row.pk if row else None).exists():
        raise Refusal(f"There is a webhook {name} already.", code="bad_webhook")
    added = row is None
    row = row or Webhook(name=name)
    before = {} if added else _shown(row)
    moved = not added and row.url != url
    row.name, row.url, row.enabled = name, url, enabled
    after = _shown(row)
    if renew or moved:
        row.secret = new_secret()
        after["secret"] = "made anew"  # noqa: S105 - a word for the log
    row.save()
    found = changes(before, after)
    if found:
        activity.record(
            f"webhook.{'added' if added else 'changed'}",
            f"Webhook {name} was {'added' if added else 'changed'}.",
            user=user,
            details={"changes": found},
        )
    return row


def _shown(row: Webhook) -> dict[str, object]:
    return {"name": row.name, "address": row.url, "enabled": row.enabled}


@transaction.atomic
def delete_webhook(name: str, *, user: User | None = None) -> None:
    """Delete one with its messages; rules lose it. Raises NotFound."""
    row = Webhook.objects.filter(name=name).first()
    if row is None:
        raise NotFound(f"There is no webhook {name}.")
    activity.record("webhook.deleted", f"Webhook {name} was deleted.", user=user)
    row.delete()
