"""What every request of a user brings along: their time zone, a row for the session,
closed doors of the admin for who is limited, and a header for browsers."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.access import BeyondLimits, demand, is_limited
from portal.accounts.roles import Right
from portal.accounts.sessions import seen


class PeopleMiddleware:
    """After Django's own, which finds the user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        known = bool(request.session.session_key) and request.user.is_authenticated
        if known:
            timezone.activate(_zone(request.user))
        try:
            response = self.get_response(request)
        finally:
            timezone.deactivate()
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        if request.session.session_key and request.user.is_authenticated:
            seen(request, request.user)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> None:
        """The admin lists rows of all connection sets: not for who is limited. Who has
        no role is refused here, for the admin would ask them to sign in again."""
        match = request.resolver_match
        if match is None or match.app_name != "admin":
            return
        if request.user.is_authenticated:
            demand(request, Right.SEE)
        if request.user.is_authenticated and is_limited(request.user):
            raise BeyondLimits


def _zone(user: Any) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
