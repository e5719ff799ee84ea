"""The error list by cause, and one cause with samples."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.errors import causes, queries
from portal.errors.queries import ErrorFilter
from portal.pages import PAGE_SIZE, page, staff_page
from syncengine.mapping.causes import recovery_of


@staff_page
@require_safe
def cause_list(request: HttpRequest) -> HttpResponse:
    """Causes that match the filter, those with most records first."""
    filters = ErrorFilter.read(request.GET)
    pages = Paginator(causes.causes(filters), PAGE_SIZE)
    shown = pages.get_page(request.GET.get("page"))
    return page(
        request,
        "portal/cause_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "shown": shown,
            "rows": [(cause, recovery_of(cause.code).value) for cause in shown],
            "records": causes.known_total(filters),
            "choices": queries.choices(filters),
        },
        title="Errors by cause",
    )


@staff_page
@require_safe
def cause_page(request: HttpRequest, cause_id: int) -> HttpResponse:
    """One cause: what it means, how to mend it, and some of its records."""
    found = causes.explained(cause_id)
    if found is None:
        raise Http404("This cause does not exist any more.")
    return page(
        request,
        "portal/cause_page.html",
        {"found": found, "cause": found.cause},
        title=f"Cause {cause_id}",
    )
