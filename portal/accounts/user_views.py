"""Users, for administrators: list, one of them, adding, inviting, deactivating."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import may, needs
from portal.accounts import invitations, locks, queries, services, sessions
from portal.accounts.models import User
from portal.accounts.queries import UserFilter
from portal.accounts.roles import Right, Role
from portal.activity.services import record
from portal.pages import PAGE_SIZE, page
from portal.refusals import Refusal

ASKING = require_http_methods(["GET", "HEAD", "POST"])


def _user(request: HttpRequest) -> Any:
    return request.user


def _shown(pk: int) -> User:
    found: User = get_object_or_404(User, pk=pk)
    return found


@needs(Right.SEE_USERS)
@require_safe
def user_list(request: HttpRequest) -> HttpResponse:
    """Users that match, by name."""
    filters = UserFilter.read(request.GET)
    pages = Paginator(queries.users(filters), PAGE_SIZE)
    shown = pages.get_page(request.GET.get("page"))
    return page(
        request,
        "portal/user_list.html",
        {
            "filters": filters,
            "shown": shown,
            "rows": queries.rows_of(list(shown)),
            "count": pages.count,
            "role_choices": list(Role),
            "state_choices": queries.STATES.items(),
            "may_change": may(request, Right.USERS),
        },
        title="Users",
    )


@needs(Right.SEE)
@require_safe
def role_list(request: HttpRequest) -> HttpResponse:
    """The matrix: which role may do what."""
    return page(
        request,
        "portal/role_list.html",
        {"roles": queries.roles(), "matrix": queries.matrix()},
        title="Roles",
    )


@needs(Right.USERS)
@ASKING
def user_new(request: HttpRequest) -> HttpResponse:
    """A form for a new user: invited by mail, or with a password."""
    values = request.POST
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            made = services.add_user(
                values.get("username", ""),
                roles=services.as_roles(values.getlist("role")),
                email=values.get("email", ""),
                first_name=values.get("first_name", ""),
                last_name=values.get("last_name", ""),
                password=values.get("password", ""),
                by=_user(request),
            )
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, f"User {made.username} was added.")
            if not values.get("password"):
                _invite(request, made)
            return redirect("user_page", pk=made.pk)
    return page(
        request,
        "portal/user_new.html",
        {
            "values": values,
            "chosen": values.getlist("role"),
            "roles": queries.roles(),
            "refused": refused,
        },
        title="New user",
        status=409 if refused else 200,
    )


@needs(Right.SEE_USERS, post=Right.USERS)
@ASKING
def user_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One user: roles and limits, sessions, and what was done with them."""
    user = _shown(pk)
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            changed = _save(request, user)
        except Refusal as caught:
            refused = caught
            user = _shown(pk)
        else:
            word = "saved" if changed else "as it was"
            messages.success(request, f"{user.username} is {word}.")
            return redirect("user_page", pk=pk)
    (row,) = queries.rows_of([user])
    return page(
        request,
        "portal/user_page.html",
        {
            "person": user,
            "row": row,
            "roles": queries.roles(),
            "limits": queries.limit_choices(user),
            "sessions": sessions.sessions_of(user),
            "locked": locks.locked(user.username),
            "own": user.pk == request.user.pk,
            "may_change": may(request, Right.USERS),
            "refused": refused,
        },
        title=user.username,
        status=409 if refused else 200,
    )


def _save(request: HttpRequest, user: User) -> bool:
    """Roles, or limits, as the form says."""
    values = request.POST
    if values.get("part") == "limits":
        limits = queries.chosen_limits(values.getlist("limit"))
        limited = values.get("limited") == "on"
        return services.set_limits(
            user, limited=limited, limits=limits, by=_user(request)
        )
    if values.get("part") == "person":
        names = ("first_name", "last_name", "email")
        given = {name: values.get(name, "").strip() for name in names}
        return services.update_person(user, by=_user(request), **given)
    wanted = services.as_roles(values.getlist("role"))
    if user.pk == request.user.pk and Role.ADMINISTRATOR not in wanted:
        raise Refusal(
            "You cannot take the role Administrator from yourself; another "
            "administrator can.",
            code="own_user",
        )
    return services.set_roles(user, wanted, by=_user(request))


@needs(Right.USERS)
@require_POST
def user_invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Mail a link to set a password."""
    try:
        _invite(request, _shown(pk))
    except Refusal as refused:
        messages.error(request, refused.message)
    return redirect("user_page", pk=pk)


def _invite(request: HttpRequest, user: User) -> None:
    sent = invitations.invite(user, request, by=_user(request))
    if sent.problem:
        messages.warning(
            request,
            f"No mail went to {user.username}: {sent.problem.rstrip('.')}. Give them "
            f"this link yourself; it sets a password, once: {sent.link}",
        )
    else:
        messages.success(request, f"A link to set a password went to {user.email}.")


@needs(Right.USERS)
@ASKING
def user_active(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then keep a user from signing in; or let them in again."""
    user = _shown(pk)
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            services.set_active(user, not user.is_active, by=_user(request))
        except Refusal as caught:
            refused = caught
        else:
            word = "activated" if user.is_active else "deactivated"
            messages.success(request, f"{user.username} was {word}.")
            return redirect("user_page", pk=pk)
    return page(
        request,
        "portal/user_active.html",
        {"person": user, "refused": refused, "sessions": sessions.sessions_of(user)},
        title=f"{'Deactivate' if user.is_active else 'Activate'} {user.username}",
        status=409 if refused else 200,
    )


@needs(Right.USERS)
@ASKING
def user_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Set another password for a user."""
    user = _shown(pk)
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            services.set_password(
                user, request.POST.get("password", ""), by=_user(request)
            )
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, f"{user.username} has another password.")
            own = user.pk == request.user.pk
            return redirect("login") if own else redirect("user_page", pk=pk)
    return page(
        request,
        "portal/user_password.html",
        {"person": user, "refused": refused, "back": reverse("user_page", args=[pk])},
        title=f"Password of {user.username}",
        status=409 if refused else 200,
    )


@needs(Right.USERS)
@require_POST
def user_sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    """End all sessions of a user."""
    user = _shown(pk)
    kept = request.session.session_key or "" if user.pk == request.user.pk else ""
    number = sessions.sign_out_everywhere(user, but=kept)
    if number:
        record(
            "sign_in.ended",
            f"{user.username} was signed out everywhere.",
            user=_user(request),
        )
    noun = "session" if number == 1 else "sessions"
    messages.success(request, f"{number} {noun} of {user.username} ended.")
    return redirect("user_page", pk=pk)


@needs(Right.USERS)
@require_POST
def user_unlock(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget wrong passwords."""
    user = _shown(pk)
    if locks.unlock(user, by=_user(request)):
        messages.success(request, f"{user.username} can sign in again.")
    else:
        messages.warning(request, f"{user.username} was not locked.")
    return redirect("user_page", pk=pk)
