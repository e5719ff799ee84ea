"""Slows down who tries passwords over many names or from many addresses.

django-axes counts wrong passwords by name and address, and locks such a pair. That
alone lets one address try many names, and many addresses try one name. Here both sums
are limited, too. But a limit by name alone would be a way to keep somebody out: so
browsers in which the user has signed in before, or set a password by a mailed link,
are let through; each has a signed cookie. What they fail then counts by itself,
because strangers are no longer counted once they are refused.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.core import signing
from django.db.models import Q, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.accounts.models import User

COOKIE = "dw_known"
SALT = "portal.accounts.known-browser"
SECONDS = 365 * 24 * 3600
NAMES_IN_A_BROWSER = 5


class Spread(StrEnum):
    """What there were too many wrong passwords for, beside one name at one address."""

    ADDRESS = "address"
    NAME = "name"


class Handler(AxesDatabaseHandler):
    """As django-axes does, and by address and by name as well."""

    def is_locked(self, request: HttpRequest, credentials: dict | None = None) -> bool:  # type: ignore[type-arg]
        """Notes in the request which of the wider limits was reached."""
        if super().is_locked(request, credentials):
            return True
        name = get_client_username(request, credentials) or ""
        spread = _spread(request, name)
        request.spread = spread  # type: ignore[attr-defined]
        return spread is not None


def spread_of(request: HttpRequest) -> Spread | None:
    """Which of the wider limits refused this sign-in, if one did."""
    return getattr(request, "spread", None)


def name_is_tried(username: str) -> bool:
    """Whether a name is refused now from everywhere but known browsers."""
    return _wrong(username=username) >= settings.SIGN_IN_FAILURES_BY_NAME


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Let this browser count as known to the user."""
    known = [user.pk, *(pk for pk in _known(request) if pk != user.pk)]
    response.set_cookie(
        COOKIE,
        signing.dumps(known[:NAMES_IN_A_BROWSER], salt=SALT),
        max_age=SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _spread(request: HttpRequest, username: str) -> Spread | None:
    address = getattr(request, "axes_ip_address", None)
    sums = {
        Spread.NAME: (
            _wrong(username=username) if username else 0,
            settings.SIGN_IN_FAILURES_BY_NAME,
        ),
        Spread.ADDRESS: (
            _wrong(ip_address=address) if address else 0,
            settings.SIGN_IN_FAILURES_BY_ADDRESS,
        ),
    }
    for spread, (wrong, limit) in sums.items():
        # Known browsers get as many again: strangers are not counted beyond the limit.
        if wrong >= limit and (wrong >= 2 * limit or not _knows(request, username)):
            return spread
    return None


def _wrong(**of: str) -> int:
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    found = AccessAttempt.objects.filter(Q(**of), attempt_time__gt=since)
    return found.aggregate(wrong=Sum("failures_since_start"))["wrong"] or 0


def _known(request: HttpRequest) -> list[int]:
    try:
        found = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=SECONDS
        )
    except signing.BadSignature:
        return []
    return list(found)


def _knows(request: HttpRequest, username: str) -> bool:
    known = _known(request)
    return bool(known) and User.objects.filter(pk__in=known, username=username).exists()
