"""What a user's roles allow, beside what Django's own permissions allow."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

from portal.accounts.models import User
from portal.accounts.roles import (
    MAP_WIDE,
    PORTAL_WIDE,
    Right,
    allows,
    allows_topic,
    rights_of,
)
from portal.accounts.scope import scope_of


def held_rights(user: User) -> frozenset[Right]:
    """The rights of a user. Read once for each request: they are kept with `user`.

    Only roles give rights: whom Django calls staff has none without a role. Who is
    limited has no right over what concerns all connection sets or companies.
    """
    if not user.is_active or user.pk is None:
        return frozenset()
    if user.is_superuser:
        return frozenset(Right)
    kept: frozenset[Right] | None = getattr(user, "_held_rights", None)
    if kept is None:
        kept = rights_of(user.groups.values_list("name", flat=True))
        scope = scope_of(user)
        if not scope.everything:
            kept -= PORTAL_WIDE
        if scope.parts:
            kept -= MAP_WIDE
        user._held_rights = kept  # type: ignore[attr-defined]
    return kept


class RoleBackend(BaseBackend):
    """Answers `has_perm` from the roles' matrix; signs nobody in."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return allows(held_rights(user_obj), perm)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return allows_topic(held_rights(user_obj), app_label)
