"""Changing the mail settings, and sending a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.mailing.configuration import Outgoing, outgoing
from portal.mailing.models import MailSettings
from portal.mailing.sending import message, postbox
from portal.refusals import Refusal
from portal.transporting import TransportError

if TYPE_CHECKING:
    from portal.accounts.models import User

FIELDS = (
    *("host", "port", "security", "username", "sender"),
    *("portal_url", "digest_hour"),
)


@transaction.atomic
def save_settings(
    values: Mapping[str, Any], *, user: User | None = None
) -> MailSettings:
    """Change some of the settings; they count at once. An absent or empty `password`
    keeps the stored one, unless the user name or server changes: a secret never goes
    to another place by itself. Refuses what makes no sense."""
    row = MailSettings.objects.select_for_update().filter(pk=1).first()
    row = row or MailSettings()
    before = {name: getattr(row, name) for name in FIELDS}
    for name in FIELDS:
        if name in values:
            setattr(row, name, values[name])
    after = {name: getattr(row, name) for name in FIELDS}
    moved = any(before[name] != after[name] for name in ("host", "username"))
    if values.get("password"):
        row.password = values["password"]
    elif moved:
        row.password = ""
    _refuse(row)
    row.save()
    if values.get("password"):
        after["password"] = "changed"  # noqa: S105 - a word for the log
    found = changes(before, after)
    if found:
        activity.record(
            "mail.settings",
            "The mail settings were changed.",
            user=user,
            details={"changes": found},
        )
    return row


def _refuse(row: MailSettings) -> None:
    try:
        row.clean_fields(exclude=["password"])
        if row.sender:
            validate_email(_address(row.sender))
    except ValidationError as error:
        raise Refusal(
            "The mail settings were not changed.",
            code="bad_mail_settings",
            reasons=error.messages,
        ) from error
    if row.host and not row.sender:
        raise Refusal(
            "Give the sender: servers refuse mail without one.",
            code="bad_mail_settings",
        )


def _address(text: str) -> str:
    return text.rpartition("<")[2].rstrip("> ") if "<" in text else text


def send_test(recipient: str, *, user: User | None = None) -> Outgoing:
    """Send a test mail now; gives the way it took. Refuses an address that is none,
    and says what the mail server says where it does not take it."""
    try:
        validate_email(recipient)
    except ValidationError as error:
        raise Refusal(
            f"{recipient!r} is no mail address.", code="bad_address"
        ) from error
    way = outgoing()
    context = {
        "way": way,
        "settings_url": way.link("/alerts/mail/"),
        "portal_url": way.portal_url,
        "now": timezone.now(),
    }
    test = message(
        way,
        recipient,
        "Test mail of the dual-write portal",
        render_to_string("emails/test.txt", context),
        render_to_string("emails/test.html", context),
    )
    try:
        with postbox(way) as box:
            box.send(test)
    except TransportError as error:
        raise Refusal(
            error.message, code=error.code, retryable=not error.permanent
        ) from error
    activity.record("mail.tested", f"A test mail was sent to {recipient}.", user=user)
    return way
