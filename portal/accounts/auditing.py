"""Sign-ins, failed ones and sign-outs in the activity log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.guessing import Spread
from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.activity.services import record

LOCK_NOTED = timedelta(minutes=15)


def _from(request: HttpRequest) -> dict[str, Any]:
    return {
        "address": request.META.get("REMOTE_ADDR", ""),
        "agent": request.headers.get("User-Agent", "")[:300],
    }


def signed_in(request: HttpRequest, user: User) -> None:
    """Somebody signed in."""
    record(
        "sign_in.done",
        f"{user.username} signed in from {_address(request)}.",
        user=user,
        details=_from(request),
    )


def signed_out(request: HttpRequest, user: User) -> None:
    """Somebody signed out."""
    record(
        "sign_in.ended",
        f"{user.username} signed out.",
        user=user,
        details=_from(request),
    )


def failed(
    request: HttpRequest,
    username: str,
    *,
    locked: bool,
    spread: Spread | None = None,
) -> None:
    """A wrong name or password, or one that was not even looked at. A name that is
    nobody's is not written down: it may be a password in the wrong field."""
    user = User.objects.filter(username=username).first()
    whose = user.username if user else "an unknown name"
    if locked:
        message = f"{_locked(request, whose, spread)}: too many wrong passwords."
        recent = ActivityEvent.objects.filter(
            kind="sign_in.locked",
            message=message,
            created_at__gt=timezone.now() - LOCK_NOTED,
        )
        if not recent.exists():
            record("sign_in.locked", message, details=_from(request))
        return
    record(
        "sign_in.failed",
        f"Failed sign-in as {whose} from {_address(request)}.",
        details=_from(request),
    )


def _locked(request: HttpRequest, whose: str, spread: Spread | None) -> str:
    if spread is Spread.ADDRESS:
        return f"{_address(request)} is locked for all names"
    if spread is Spread.NAME:
        return f"{whose} is locked for browsers not used before"
    return f"{whose} is locked for {_address(request)}"


def _address(request: HttpRequest) -> str:
    return request.META.get("REMOTE_ADDR") or "an unknown address"
