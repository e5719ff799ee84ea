"""Who may set links up."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from portal.access import needs
from portal.accounts.roles import Right

RIGHTS = (
    "environments.add_environment",
    "environments.add_connectionset",
    "maps.add_tablemap",
)


def may_set_up(user: Any) -> bool:
    """True when the user may add environments, links and maps."""
    return bool(user.has_perms(RIGHTS))


def setup_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let in signed-in staff who may set links up."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not may_set_up(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return needs(Right.LINK)(guarded)
