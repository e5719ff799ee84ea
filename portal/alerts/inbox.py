"""The inbox of a user: the alerts somebody was told of, read or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.access import is_limited
from portal.alerts.models import Alert, InboxItem
from portal.pages import sharing

if TYPE_CHECKING:
    from portal.accounts.models import User

MOST_COUNTED = 99


def items(user: User, *, unread_only: bool = False) -> QuerySet[InboxItem]:
    """Newest first, with what they are about."""
    rows = sharing(InboxItem.objects.all(), "user_id", user.pk).select_related(
        "alert__connection_set", "alert__table_map"
    )
    if is_limited(user):
        rows = rows.filter(alert__in=Alert.objects.visible_to(user).values("pk"))
    return rows.filter(read_at=None) if unread_only else rows


def unread(user: User) -> int:
    """How many are unread, counted no further than one above the limit."""
    rows = InboxItem.objects.filter(user=user, read_at=None).order_by()
    if is_limited(user):
        rows = rows.filter(alert__in=Alert.objects.visible_to(user).values("pk"))
    return rows[: MOST_COUNTED + 1].count()


def badge(request: HttpRequest) -> str:
    """The number in the navigation; empty when all is read."""
    user = request.user
    if not user.is_authenticated:
        return ""
    number = unread(user)  # type: ignore[arg-type]
    if number > MOST_COUNTED:
        return f"{MOST_COUNTED}+"
    return str(number) if number else ""


def mark(user: User, ids: Iterable[int], *, read: bool = True) -> int:
    """Mark items of this user; gives their number. Ids of others are passed over."""
    rows = InboxItem.objects.filter(user=user, pk__in=list(ids))
    rows = rows.filter(read_at__isnull=read)
    return rows.update(read_at=timezone.now() if read else None)


def mark_all_read(user: User) -> int:
    """Mark all items of this user as read."""
    return InboxItem.objects.filter(user=user, read_at=None).update(
        read_at=timezone.now()
    )


def seen(user: User, alert_id: int) -> None:
    """The user opened the page of an alert."""
    InboxItem.objects.filter(user=user, alert=alert_id, read_at=None).update(
        read_at=timezone.now()
    )
