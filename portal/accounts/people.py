"""People who work in the portal: active users whose roles let them see pages."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from portal.accounts.models import User
from portal.accounts.roles import Right
from portal.accounts.scope import scope_of


def who_may(right: Right) -> QuerySet[User]:
    """Active users whose roles have the right, by name; limits are not looked at."""
    roles = [role.value for role in right.roles]
    has = Q(is_superuser=True) | Q(groups__name__in=roles)
    return User.objects.filter(has, is_active=True).distinct().order_by("username")


def within_limits(user: User, row: Any) -> bool:
    """Whether the limits of a user, if there are any, let them see this row."""
    scope = scope_of(user)
    if scope.everything:
        return True
    return bool(type(row).objects.within(scope).filter(pk=row.pk).exists())


def who_sees(row: Any) -> list[User]:
    """Who sees pages, and this row, by name."""
    return [one for one in who_may(Right.SEE) if within_limits(one, row)]
