"""The error list, retry, dismiss and download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.errors import owning, queries, services
from portal.errors.causes import cause_of, known_total
from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, SyncError
from portal.errors.queries import WAITING, ErrorFilter
from portal.maps.models import TableMap
from portal.pages import (
    chosen_ids,
    csv_download,
    keyset_page,
    page,
    safe_next,
)
from portal.refusals import Refusal

CSV_COLUMNS = (
    "id",
    "map",
    "direction",
    "phase",
    "key",
    "code",
    "column",
    "message",
    "remote",
    "state",
    "count",
    "first_seen",
    "last_seen",
    "assigned_to",
    "dismiss_reason",
)


NAMED = {"map": TableMap, "cause": ErrorGroup}
"""What the filter of a list may name."""


@needs(Right.SEE, picked=NAMED)
@require_safe
def error_list(request: HttpRequest) -> HttpResponse:
    """Errors that match the filter, newest first."""
    filters = ErrorFilter.read(request.GET, user=request.user)
    return page(
        request,
        "portal/error_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(
                queries.error_list(filters),
                request,
                total=known_total(filters),
                shared=filters.shared,
                limit=filters.count_limit,
            ),
            "cause": cause_of(filters),
            "choices": queries.choices(filters),
        },
        title="Errors",
    )


@needs(Right.SEE, picked={"ids": SyncError})
@require_safe
def error_live(request: HttpRequest) -> HttpResponse:
    """The changing cells of the listed errors; of one that a page was opened with, and
    that is closed by now, what can be done with it as well."""
    ids = chosen_ids(request.GET.get("ids", "").split(","))
    errors = list(queries.errors_by_id(ids))
    of_page = request.GET.get("page") == "open" and len(ids) == 1
    return render(
        request,
        "portal/_error_cells.html",
        {
            "errors": errors,
            "closed": [
                error
                for error in errors
                if of_page and error.state not in OPEN_ERROR_STATES
            ],
        },
    )


@needs(Right.MEND, picked={"error": SyncError, **NAMED})
@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """Retry the chosen errors, or all that match the filter."""
    chosen, all_matching = _chosen(request)
    number = services.retry(chosen, user=_user(request))
    if number:
        messages.success(request, f"{_errors(number)} will be tried again now.")
    elif all_matching:
        messages.warning(request, "No open error matches the filter.")
    else:
        messages.warning(request, "Choose at least one open error to retry.")
    return redirect(safe_next(request, reverse("error_list")))


@needs(Right.MEND, picked={"error": SyncError, **NAMED})
@require_POST
def dismiss(request: HttpRequest) -> HttpResponse:
    """Set the chosen errors aside; asks first unless already confirmed."""
    chosen, all_matching = _chosen(request)
    back = safe_next(request, reverse("error_list"))
    refused: Refusal | None = None
    if request.POST.get("confirmed") == "yes":
        reason = request.POST.get("reason", "")
        try:
            owning.checked_text(reason, "reason")
            number = services.dismiss(chosen, reason=reason, user=_user(request))
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, f"{_errors(number)} dismissed.")
            return redirect(back)
    waiting = chosen.filter(state__in=OPEN_ERROR_STATES)
    filters = ErrorFilter.read(request.POST, user=request.user)
    known = known_total(filters) if all_matching and filters.state == WAITING else None
    number = waiting.count() if known is None else known
    if not number:
        messages.warning(request, "Choose at least one open error to dismiss.")
        return redirect(back)
    return page(
        request,
        "portal/error_dismiss.html",
        {
            "number": number,
            "ids": [] if all_matching else waiting.values_list("pk", flat=True),
            "pairs": filters.pairs if all_matching else [],
            "all_matching": all_matching,
            "next": back,
            "refused": refused,
            "longest": owning.LONGEST,
        },
        title="Dismiss errors",
        status=409 if refused else 200,
    )


@needs(Right.SEE, picked=NAMED)
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The errors that match the filter as CSV."""
    filters = ErrorFilter.read(request.GET, user=request.user)
    rows = queries.matching(filters).select_related("table_map").order_by("-id")
    owners = queries.owners()

    def lines() -> Iterator[list[Any]]:
        for error in rows.defer("source_row", "mapped_row").iterator(chunk_size=2000):
            yield [
                error.pk,
                error.table_map.name,
                error.direction,
                error.phase,
                error.key_text,
                error.code,
                error.column,
                error.message,
                error.remote,
                error.state,
                error.count,
                error.first_seen.isoformat(),
                error.last_seen.isoformat(),
                owners.get(error.cause_id or 0),
                error.dismiss_reason,
            ]

    return csv_download("errors.csv", CSV_COLUMNS, lines())


def _chosen(request: HttpRequest) -> tuple[QuerySet[SyncError], bool]:
    """The ticked errors, or every open one that matches the filter."""
    values = request.POST
    if values.get("scope") == "matching":
        return queries.matching(ErrorFilter.read(values, user=request.user)), True
    ids = chosen_ids(values.getlist("error"))
    return SyncError.objects.visible_to(request.user).filter(pk__in=ids), False


def _errors(number: int) -> str:
    return f"{number:,} error" if number == 1 else f"{number:,} errors"


def _user(request: HttpRequest) -> Any:
    return request.user
