"""What waits for approval, and deciding on it; the guard of a map."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.approvals import guarding, queries, services
from portal.approvals.guarding import GuardValues
from portal.approvals.models import Approval
from portal.approvals.queries import ApprovalFilter
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.pages import keyset_page, page
from portal.refusals import NotFound, Refusal
from portal.sync.journal import key_text


@needs(Right.SEE, picked={"set": ConnectionSet, "map": TableMap})
@require_safe
def approval_list(request: HttpRequest) -> HttpResponse:
    """Held waves that match the filter, newest first; those that wait are marked."""
    filters = ApprovalFilter.read(request.GET, request.user)
    return page(
        request,
        "portal/approval_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(queries.approval_list(filters), request),
            "choices": queries.choices(filters),
        },
        title="Approvals",
    )


@needs(Right.SEE, of=Approval, all_companies=True)
@require_safe
def approval_page(request: HttpRequest, approval_id: int) -> HttpResponse:
    """One held wave: how many of how many, some of the records, and the decision."""
    one = (
        Approval.objects.select_related("table_map", "decided_by")
        .filter(pk=approval_id)
        .first()
    )
    if one is None:
        raise Http404("This approval does not exist any more.")
    return page(
        request,
        "portal/approval_page.html",
        {
            "one": one,
            "side": services.side_of(one),
            "sample": [key_text(key) for key in one.sample],
        },
        title=f"{one.get_kind_display()} of {one.table_map.name}",
    )


@needs(Right.RUN, of=Approval)
@require_POST
def decide(request: HttpRequest, approval_id: int) -> HttpResponse:
    """Approve or reject."""
    rejecting = request.POST.get("decision") == "reject"
    if not rejecting and request.POST.get("decision") != "approve":
        messages.warning(request, "Choose to approve or to reject.")
        return redirect("approval_page", approval_id)
    act = services.reject if rejecting else services.approve
    try:
        one = act(approval_id, user=_user(request))
    except NotFound as missing:
        raise Http404(missing.message) from missing
    except Refusal as refused:
        messages.error(request, refused.message)
        return redirect("approval_page", approval_id)
    if rejecting:
        messages.success(
            request,
            f"{one.discarded:,} changes were rejected and kept as a file. Compare "
            f"{one.table_map.name} now: both sides differ.",
        )
    else:
        messages.success(request, "Approved: the held changes are carried over.")
    return redirect("approval_page", approval_id)


@needs(Right.EDIT_MAPS, of=TableMap)
@require_POST
def change_guard(request: HttpRequest, map_id: int) -> HttpResponse:
    """Set when the changes of a map are held."""
    table_map = get_object_or_404(TableMap, pk=map_id)
    try:
        values = GuardValues(
            enabled=request.POST.get("enabled") == "on",
            deletes_percent=_whole(request.POST.get("deletes_percent", "")),
            updates_percent=_whole(request.POST.get("updates_percent", "")),
            rows=_whole(request.POST.get("rows", "")),
            window_seconds=_whole(request.POST.get("window_seconds", "")),
        )
        changed = guarding.change(table_map, values, user=_user(request))
    except Refusal as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, guarding.sentence(changed))
    return redirect(reverse("map_tab", args=[map_id, "compare"]))


def _whole(text: str) -> int | None:
    if text.strip() == "":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise Refusal(f"{text} is no whole number.", code="bad_guard")
    return int(text)


def _user(request: HttpRequest) -> Any:
    return request.user
