"""What is said to somebody who was refused: which right is missing, and who has it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from portal.accounts.models import User
from portal.accounts.roles import (
    MAP_WIDE,
    PORTAL_WIDE,
    Right,
    Role,
    right_for,
    rights_of,
)
from portal.accounts.scope import scope_of

NAMED = 5
"""So many administrators are named at most."""

_ACTIONS = {"changelist": "view", "add": "add", "change": "change", "delete": "delete"}


def explain(request: HttpRequest, exception: Exception) -> tuple[str, str]:
    """A heading and what to do, for the page of a refusal."""
    heading = "You may not see this page"
    user = getattr(request, "user", None)
    if user is not None and not sees_pages(user):
        return _without_pages(user)
    said = str(exception)
    right = getattr(exception, "right", None)
    if right is None and not said:
        right = _of_admin_page(request)
    if right is None:
        text = said if said.endswith(".") else "Your user is not allowed to do this."
        return heading, f"{text} {who_can_help()}"
    if user is not None and _lost_by_limits(user, right):
        part = "some companies" if right in MAP_WIDE else "a part of the portal"
        return heading, (
            f"Your user is limited to {part}, and to {right.words} goes beyond that. "
            f"{who_can_help()}"
        )
    roles = " or ".join(role.value for role in right.roles)
    return heading, (
        f"Your user lacks the right to {right.words}. The role {roles} has it. "
        f"{who_can_help()}"
    )


def sees_pages(user: Any) -> bool:
    """Whether a role of the user opens pages; else only their profile is there."""
    return bool(
        user is not None
        and user.is_authenticated
        and user.has_perm(Right.SEE.permission)
    )


def who_can_help() -> str:
    """The administrators, by name."""
    names = administrator_names()
    if not names:
        return "Ask whoever runs the portal: dw users can give roles."
    return f"Ask an administrator: {', '.join(names)}."


def administrator_names() -> list[str]:
    """Some who can give roles."""
    rows = User.objects.filter(is_active=True)
    rows = rows.filter(groups__name=Role.ADMINISTRATOR) | rows.filter(is_superuser=True)
    found = rows.distinct().order_by("username")[:NAMED]
    return [one.get_full_name() or one.get_username() for one in found]


def _without_pages(user: Any) -> tuple[str, str]:
    """Signed in, and nothing to see: no role yet, or only one for programs."""
    if user.groups.filter(name=Role.RUNTIME.value).exists():
        return "This user is for programs", (
            f"{user.get_username()} has the role Runtime, which opens no pages. "
            "Sign in as a person."
        )
    return "You have no role yet", (
        f"You are signed in as {user.get_username()}, and what you may see comes with "
        f"a role, which you do not have. {who_can_help()}"
    )


def _lost_by_limits(user: User, right: Right) -> bool:
    """Whether a role of the user has the right, and only the limits take it away."""
    scope = scope_of(user)
    lost = right in PORTAL_WIDE or (right in MAP_WIDE and bool(scope.parts))
    if scope.everything or not lost:
        return False
    return right in rights_of(user.groups.values_list("name", flat=True))


def _of_admin_page(request: HttpRequest) -> Right | None:
    """The right that a page of the admin asks for, from its name."""
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return None
    parts = (match.url_name or "").split("_")
    if match.app_name != "admin" or len(parts) < 3 or parts[-1] not in _ACTIONS:
        return None
    topic, model, action = parts[0], "_".join(parts[1:-1]), _ACTIONS[parts[-1]]
    return right_for(f"{topic}.{action}_{model}")
