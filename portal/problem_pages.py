"""What is shown when a page cannot be: in the same look, saying what to do."""

from __future__ import annotations

from typing import Any

import structlog
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from portal.access import is_limited
from portal.accounts.guessing import Spread, spread_of
from portal.accounts.refused import explain, sees_pages

DJANGOS = "matches the given query"
LOCKED = {
    None: "This name is locked for this address. Wait a quarter of an hour and try "
    "again, or ask an administrator.",
    Spread.NAME: "Many wrong passwords were given for this name, from several places. "
    "Sign in with a browser in which you have signed in before, set a new password by "
    "mail (Forgotten your password), wait a quarter of an hour, or ask an "
    "administrator.",
    Spread.ADDRESS: "Many wrong passwords were given from this address, for several "
    "names. Sign in with a browser in which you have signed in before, set a new "
    "password by mail (Forgotten your password), or wait a quarter of an hour.",
}

log = structlog.get_logger(__name__)


def _problem(
    request: HttpRequest, status: int, heading: str, text: str, icon: str
) -> HttpResponse:
    context: dict[str, Any] = {"heading": heading, "text": text, "icon": icon}
    inside = sees_pages(getattr(request, "user", None))
    template = "portal/problem.html" if inside else "portal/problem_outside.html"
    frame = admin.site.each_context(request)
    return render(
        request, template, {**frame, "title": heading, **context}, status=status
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: the address leads nowhere, with the reason where a view gave one. Who is
    limited reads the same whether there is such a thing or not."""
    given = exception.args[0] if exception.args else ""
    text = "The address may be old, or what it led to was removed."
    if is_limited(getattr(request, "user", None)):
        text = (
            "The address may be old, what it led to was removed, or your user is "
            "limited to something else: an administrator can change that."
        )
    elif isinstance(given, str) and given.endswith(".") and DJANGOS not in given:
        text = given
    return _problem(request, 404, "There is no such page", text, "explore_off")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: signed in, but not allowed. Names the right that is missing, the roles that
    have it, and who can give them."""
    heading, text = explain(request, exception)
    return _problem(request, 403, heading, text, "lock")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request made no sense."""
    return _problem(
        request,
        400,
        "This request cannot be read",
        "Go back, reload the page and try again.",
        "help",
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form was older than the session."""
    return _problem(
        request,
        403,
        "This form is too old",
        "You were signed out, or in again, since the page was opened. Go back, "
        "reload it and try again. Cookies must be allowed.",
        "lock_reset",
    )


def locked_out(
    request: HttpRequest,
    original_response: HttpResponse | None = None,
    credentials: dict[str, Any] | None = None,
) -> HttpResponse:
    """429: too many wrong passwords; for what, and what to do."""
    return _problem(
        request,
        429,
        "Too many wrong passwords",
        LOCKED[spread_of(request)],
        "lock_clock",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our fault. Works without the database too, since that may be the cause."""
    try:
        return _problem(
            request,
            500,
            "Something went wrong here",
            "The failure was written to the portal's log. Synchronization goes on by "
            "itself; try the page again in a moment.",
            "error",
        )
    except Exception:  # the page about a failure must not fail
        log.exception("problem_page_failed")
        return HttpResponse(render_to_string("portal/problem_plain.html"), status=500)
