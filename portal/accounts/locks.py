"""Names that too many wrong passwords have locked (django-axes), and opening them."""

from __future__ import annotations

from datetime import timedelta

from axes.models import AccessAttempt
from axes.utils import reset
from django.conf import settings
from django.utils import timezone

from portal.accounts.guessing import name_is_tried
from portal.accounts.models import User
from portal.activity.services import record


def locked(username: str) -> bool:
    """Whether the name is locked now: for some address, or for browsers that are not
    known to its user."""
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    return (
        name_is_tried(username)
        or AccessAttempt.objects.filter(
            username=username,
            failures_since_start__gte=settings.AXES_FAILURE_LIMIT,
            attempt_time__gt=since,
        ).exists()
    )


def unlock(user: User, *, by: User | None = None) -> bool:
    """Forget the wrong passwords of a name. False when there were none."""
    if not reset(username=user.username):
        return False
    record("user.unlocked", f"User {user.username} was unlocked.", user=by)
    return True
