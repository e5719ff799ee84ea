"""The list of alerts; acknowledging and closing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.alerts import inbox, queries, services
from portal.alerts.models import Alert
from portal.alerts.queries import AlertFilter
from portal.alerts.targets import target_of
from portal.environments.models import ConnectionSet
from portal.pages import chosen_ids, keyset_page, page, safe_next
from portal.refusals import Refusal

MESSAGES_SHOWN = 20
SNOOZES = (
    (60, "1 hour"),
    (240, "4 hours"),
    (1440, "1 day"),
    (10080, "1 week"),
)


@needs(Right.SEE, picked={"set": ConnectionSet})
@require_safe
def alert_list(request: HttpRequest) -> HttpResponse:
    """Alerts that match the filter, newest first."""
    filters = AlertFilter.read(request.GET, request.user)
    return page(
        request,
        "portal/alert_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(queries.alert_list(filters), request),
            "choices": queries.choices(request.user),
            "snoozes": SNOOZES,
            "tab": "alerts",
        },
        title="Alerts",
    )


@needs(Right.SEE, of=Alert)
@require_safe
def alert_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One alert: what it is about, what to open, whom it was told."""
    alert = get_object_or_404(
        Alert.objects.select_related("connection_set", "table_map", "acknowledged_by"),
        pk=pk,
    )
    inbox.seen(_user(request), pk)
    return page(
        request,
        "portal/alert_page.html",
        {
            "alert": alert,
            "target": target_of(alert),
            "messages_sent": alert.deliveries.order_by("-pk")[:MESSAGES_SHOWN],
            "snoozes": SNOOZES,
            "tab": "alerts",
        },
        title="Alert",
    )


@needs(Right.MEND, picked={"alert": Alert})
@require_POST
def mark(request: HttpRequest) -> HttpResponse:
    """Acknowledge, snooze or close the chosen alerts."""
    ids = chosen_ids(request.POST.getlist("alert"))
    back = safe_next(request, reverse("alert_list"))
    action = request.POST.get("action", "")
    try:
        number, word = _marked(request, action, ids)
    except Refusal as refused:
        messages.warning(request, refused.message)
        return redirect(back)
    if number:
        noun = "alert" if number == 1 else "alerts"
        messages.success(request, f"{number} {noun} {word}.")
    else:
        messages.warning(request, "Choose at least one open alert.")
    return redirect(back)


def _marked(request: HttpRequest, action: str, ids: list[int]) -> tuple[int, str]:
    user = _user(request)
    if action == "close":
        return services.close(ids, user=user), "closed"
    if action.startswith("snooze"):
        minutes = request.POST.get("minutes", "60")
        if not minutes.isdecimal() or len(minutes) > 6:
            raise Refusal("Choose for how long.", code="bad_snooze")
        return services.snooze(ids, int(minutes), user=user), "snoozed"
    return services.acknowledge(ids, user=user), "acknowledged"


def _user(request: HttpRequest) -> Any:
    return request.user
