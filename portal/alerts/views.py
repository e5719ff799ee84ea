"""The list of alerts; acknowledging and closing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.alerts import queries, services
from portal.alerts.queries import AlertFilter
from portal.pages import chosen_ids, keyset_page, page, safe_next, staff_page
from portal.refusals import NotFound


@staff_page
@require_safe
def alert_list(request: HttpRequest) -> HttpResponse:
    """Alerts that match the filter, newest first."""
    filters = AlertFilter.read(request.GET)
    return page(
        request,
        "portal/alert_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(queries.alert_list(filters), request),
            "choices": queries.choices(),
        },
        title="Alerts",
    )


@staff_page
@require_POST
def mark(request: HttpRequest) -> HttpResponse:
    """Acknowledge or close the chosen alerts."""
    ids = chosen_ids(request.POST.getlist("alert"))
    back = safe_next(request, reverse("alert_list"))
    closing = request.POST.get("action") == "close"
    act = services.close if closing else services.acknowledge
    try:
        number = act(ids, user=_user(request))
    except NotFound as refused:
        messages.warning(request, refused.message)
        return redirect(back)
    if number:
        noun = "alert" if number == 1 else "alerts"
        word = "closed" if closing else "acknowledged"
        messages.success(request, f"{number} {noun} {word}.")
    else:
        messages.warning(request, "Choose at least one open alert.")
    return redirect(back)


def _user(request: HttpRequest) -> Any:
    return request.user
