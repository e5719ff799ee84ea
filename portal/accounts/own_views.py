"""What everybody may change of themselves: person, password, sessions."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import open_to
from portal.accounts import services, sessions
from portal.accounts.models import Theme, User, time_zones
from portal.accounts.queries import rows_of
from portal.activity.services import record
from portal.pages import chosen_ids, page
from portal.refusals import Refusal

ASKING = require_http_methods(["GET", "HEAD", "POST"])
PERSON = ("first_name", "last_name", "email", "theme", "time_zone")


def _me(request: HttpRequest) -> User:
    return User.objects.get(pk=request.user.pk)


@open_to("It shows and changes only one's own user.")
@ASKING
def profile(request: HttpRequest) -> HttpResponse:
    """Name, mail, look and time zone; roles and limits to read."""
    user = _me(request)
    refused: Refusal | None = None
    if request.method == "POST":
        values = {name: request.POST.get(name, "").strip() for name in PERSON}
        try:
            services.update_person(user, by=user, **values)
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("profile")
    (row,) = rows_of([user])
    return page(
        request,
        "portal/profile.html",
        {
            "person": user,
            "row": row,
            "refused": refused,
            "themes": Theme.choices,
            "zones": time_zones(),
            "sessions": sessions.sessions_of(user),
            "this": request.session.session_key,
        },
        title="Your profile",
        status=409 if refused else 200,
    )


@open_to("It changes only one's own password, and asks for the present one.")
@ASKING
def password(request: HttpRequest) -> HttpResponse:
    """Another password, after the present one."""
    user = _me(request)
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            _change_password(request, user)
        except Refusal as caught:
            refused = caught
        else:
            messages.success(
                request, "Your password is changed; you are signed out elsewhere."
            )
            return redirect("profile")
    return page(
        request,
        "portal/password_change.html",
        {"refused": refused, "person": user},
        title="Change your password",
        status=409 if refused else 200,
    )


def _change_password(request: HttpRequest, user: User) -> None:
    new = request.POST.get("new", "")
    if not user.check_password(request.POST.get("present", "")):
        raise Refusal("The present password is wrong.", code="wrong_password")
    if new != request.POST.get("again", ""):
        raise Refusal("The new password was not typed the same twice.", code="mistyped")
    services.set_password(user, new, by=user)
    # The session goes on under a new key; the others have ended.
    request.session.cycle_key()
    request.session.pop(sessions.STAMP, None)
    update_session_auth_hash(request, user)


@open_to("It ends only one's own sessions.")
@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out in chosen browsers, or in all others."""
    user = _me(request)
    rows = sessions.sessions_of(user).exclude(session_key=request.session.session_key)
    if request.POST.get("all") != "yes":
        rows = rows.filter(pk__in=chosen_ids(request.POST.getlist("session")))
    number = sessions.end(rows)
    if number:
        record("sign_in.ended", f"{user.username} signed out elsewhere.", user=user)
        noun = "browser" if number == 1 else "browsers"
        messages.success(request, f"Signed out in {number} other {noun}.")
    else:
        messages.warning(request, "There is no such other session.")
    return redirect("profile")
