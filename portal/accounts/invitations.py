"""Mails with a link to set a password."""

from __future__ import annotations

from dataclasses import dataclass
from smtplib import SMTPException

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from portal.accounts.models import User
from portal.activity.services import record
from portal.refusals import Refusal
from portal.transporting import TransportError


@dataclass(frozen=True)
class Invitation:
    """The link, and why no mail went, if none did."""

    link: str
    problem: str = ""


def password_path(user: User) -> str:
    """The address of the page where the user sets a password; valid for
    PASSWORD_RESET_TIMEOUT, once."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    return reverse("password_reset_confirm", args=[uid, token])


def invite(user: User, request: HttpRequest, *, by: User | None = None) -> Invitation:
    """Mail a link to a user, with which they set a password and sign in."""
    if not user.is_active:
        raise Refusal(
            f"{user.username} is deactivated; activate them first.", code="inactive"
        )
    link = request.build_absolute_uri(password_path(user))
    days = settings.PASSWORD_RESET_TIMEOUT // 86_400
    context = {"user": user, "by": by, "link": link, "days": days}
    problem = ""
    if not user.email:
        problem = f"{user.username} has no mail address."
    else:
        try:
            send_mail(
                "Your access to the dual-write portal",
                render_to_string("portal/mail/invitation.txt", context),
                None,
                [user.email],
                html_message=render_to_string("portal/mail/invitation.html", context),
            )
        except (OSError, SMTPException, TransportError) as error:
            problem = str(error) or type(error).__name__
    if not problem:
        record(
            "user.invited",
            f"{user.username} was sent a link to set a password.",
            user=by,
            details={"email": user.email},
        )
    return Invitation(link, problem)
