"""The error list by cause, and one cause with samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.accounts.scope import scope_of
from portal.errors import causes, hidden, mending, owning, queries
from portal.errors.models import ErrorGroup, SyncError
from portal.errors.queries import ErrorFilter
from portal.maps.models import TableMap
from portal.pages import page
from portal.refusals import Refusal

CAUSES_A_PAGE = 25
"""Each says much: more would take longer to make than to read."""


@needs(Right.SEE, picked={"map": TableMap, "cause": ErrorGroup})
@require_safe
def cause_list(request: HttpRequest) -> HttpResponse:
    """Causes that match the filter, those with most records first."""
    filters = ErrorFilter.read(request.GET, user=request.user)
    pages = Paginator(causes.causes(filters), CAUSES_A_PAGE)
    shown = pages.get_page(request.GET.get("page"))
    return page(
        request,
        "portal/cause_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "shown": shown,
            "rows": causes.listed(shown, filters.scope),
            "records": causes.known_total(filters),
            "choices": queries.choices(filters),
        },
        title="Errors by cause",
    )


@needs(Right.SEE, of=ErrorGroup)
@require_safe
def cause_page(request: HttpRequest, cause_id: int) -> HttpResponse:
    """One cause: what it means, how to mend it, and some of its records."""
    scope = scope_of(request.user)
    found = causes.explained(cause_id, scope)
    if found is None:
        raise Http404("This cause does not exist any more.")
    return page(
        request,
        "portal/cause_page.html",
        {
            "found": found,
            "cause": found.cause,
            "hidden": hidden.hidden_values(found.cause, scope),
            "people": owning.people(found.cause),
            **_mending(found.samples),
        },
        title=f"Cause {cause_id}",
    )


def _mending(samples: Sequence[SyncError]) -> dict[str, Any]:
    """How to mend what the first sample is about."""
    if not samples:
        return {}
    missing = mending.missing_value(samples[0])
    return {
        "missing": missing,
        "edit_query": mending.editor_query(samples[0], missing),
    }


@needs(Right.MEND, of=ErrorGroup)
@require_POST
def cause_assign(request: HttpRequest, cause_id: int) -> HttpResponse:
    """Give the cause to the chosen person, or to nobody."""
    name = request.POST.get("person", "").strip()
    try:
        person = owning.find_person(name) if name else None
        owning.assign([cause_id], person, user=_user(request))
    except Refusal as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, f"Assigned to {person or 'nobody'}.")
    return redirect("cause_page", cause_id)


@needs(Right.MEND, of=ErrorGroup)
@require_POST
def cause_comment(request: HttpRequest, cause_id: int) -> HttpResponse:
    """Write about the cause."""
    try:
        owning.comment([cause_id], request.POST.get("text", ""), user=_user(request))
    except Refusal as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, "The comment was added.")
    return redirect("cause_page", cause_id)


def _user(request: HttpRequest) -> Any:
    return request.user
