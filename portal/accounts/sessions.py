"""Where users are signed in. Django's sessions do not know whose they are; our own
small table does, one row for each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.models import SignedIn, User

STAMP = "seen"
SEEN_EVERY = timedelta(minutes=1)
"""How exact `last_seen` is: a page that polls writes no row each time."""


def seen(request: HttpRequest, user: Any) -> None:
    """Note that the session of a request lives, and whose it is."""
    now = timezone.now()
    stamp = request.session.get(STAMP)
    if stamp and now.timestamp() - stamp < SEEN_EVERY.total_seconds():
        return
    request.session[STAMP] = now.timestamp()
    SignedIn.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "address": request.META.get("REMOTE_ADDR") or None,
            "agent": request.headers.get("User-Agent", "")[:300],
            "last_seen": now,
        },
    )


def sessions_of(user: User) -> QuerySet[SignedIn]:
    """Where a user is signed in: sessions that are not over."""
    living = Session.objects.filter(expire_date__gt=timezone.now())
    return SignedIn.objects.filter(
        user=user, session_key__in=living.values("session_key")
    )


def end(rows: QuerySet[SignedIn]) -> int:
    """Sign out there; the next request is asked to sign in."""
    keys = list(rows.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    SignedIn.objects.filter(session_key__in=keys).delete()
    return len(keys)


def sign_out_everywhere(user: User, *, but: str = "") -> int:
    """End all sessions of a user, but one."""
    return end(SignedIn.objects.filter(user=user).exclude(session_key=but))


def forget_ended() -> int:
    """Take away sessions that are over, and our rows of them."""
    Session.objects.filter(expire_date__lte=timezone.now()).delete()
    gone = SignedIn.objects.exclude(
        session_key__in=Session.objects.values("session_key")
    )
    return gone.delete()[0]
