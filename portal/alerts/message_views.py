"""Sent messages, and the inbox of the one who looks."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.alerts import delivering, inbox
from portal.alerts.message_queries import DeliveryFilter, choices, delivery_list
from portal.mailing.configuration import outgoing
from portal.pages import chosen_ids, keyset_page, page, safe_next
from portal.refusals import NotFound


@needs(Right.SEE, whole=True)
@require_safe
def delivery_list_page(request: HttpRequest) -> HttpResponse:
    """Messages that match the filter, newest first."""
    filters = DeliveryFilter.read(request.GET)
    return page(
        request,
        "portal/delivery_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(delivery_list(filters), request),
            "choices": choices(),
            "mail_ready": outgoing().ready,
            "may_retry": may(request, Right.MEND, whole=True),
            "tab": "deliveries",
        },
        title="Sent messages",
    )


@needs(Right.MEND, whole=True)
@require_POST
def delivery_retry(request: HttpRequest) -> HttpResponse:
    """Send the chosen messages again."""
    back = safe_next(request, reverse("delivery_list"))
    ids = chosen_ids(request.POST.getlist("delivery"))
    try:
        number = delivering.retry(ids, user=_user(request))
    except NotFound as refused:
        messages.warning(request, refused.message)
        return redirect(back)
    if number:
        noun = "message goes" if number == 1 else "messages go"
        messages.success(request, f"{number} {noun} out again now.")
    else:
        messages.warning(request, "Choose messages that were not sent.")
    return redirect(back)


@needs(Right.SEE)
@require_safe
def inbox_page(request: HttpRequest) -> HttpResponse:
    """The alerts this user was told of, unread ones marked."""
    unread_only = request.GET.get("show") == "unread"
    user = _user(request)
    return page(
        request,
        "portal/inbox.html",
        {
            "page": keyset_page(inbox.items(user, unread_only=unread_only), request),
            "query": "show=unread" if unread_only else "",
            "unread_only": unread_only,
            "unread": inbox.unread(user),
        },
        title="Inbox",
    )


@needs(Right.SEE)
@require_POST
def inbox_mark(request: HttpRequest) -> HttpResponse:
    """Mark the chosen items, or all, as read; or the chosen ones as unread."""
    back = safe_next(request, reverse("inbox"))
    action = request.POST.get("action")
    user = _user(request)
    if action == "all":
        inbox.mark_all_read(user)
    else:
        ids = chosen_ids(request.POST.getlist("item"))
        inbox.mark(user, ids, read=action != "unread")
    return redirect(back)


def _user(request: HttpRequest) -> Any:
    return request.user
