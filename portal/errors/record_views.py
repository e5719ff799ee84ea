"""One error: why, both rows beside what is there now, and mending its value map."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.errors import beside, mending, queries
from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.pages import page
from portal.refusals import Refusal
from syncengine.mapping.causes import CODES


@needs(Right.SEE, of=SyncError)
@require_safe
def error_page(request: HttpRequest, error_id: int) -> HttpResponse:
    """One error with its rows side by side."""
    return _page(request, _found(error_id), None)


@needs(Right.SEE, of=SyncError)
@require_safe
def error_rows(request: HttpRequest, error_id: int) -> HttpResponse:
    """The rows of an error beside what both sides hold now."""
    error = _found(error_id)
    now = beside.now(error)
    lines = queries.payload_lines(error, now)
    unmade = queries.is_unmade(error, lines)
    return render(
        request,
        "portal/_error_rows.html",
        {"error": error, "lines": lines, "unmade": unmade, "now": now},
    )


@needs(Right.EDIT_MAPS, of=SyncError, whole=True)
@require_POST
def error_mend(request: HttpRequest, error_id: int) -> HttpResponse:
    """Give the missing value a meaning, and retry."""
    error = _found(error_id)
    try:
        done = mending.mend(
            error,
            request.POST.get("meaning", ""),
            user=request.user,  # type: ignore[arg-type]
        )
    except Refusal as refused:
        return _page(request, error, refused)
    left, right = done.grown.pair
    versions = ", ".join(
        f"{one.table_map.name} ({one.version})" for one in done.grown.versions
    )
    retried = f"{done.retried:,} error{'' if done.retried == 1 else 's'}"
    messages.success(
        request,
        f"{left} = {right} was added: new version of {versions}. "
        f"{retried} will be tried again now.",
    )
    return redirect("error_page", error_id)


def _found(error_id: int) -> SyncError:
    error = (
        SyncError.objects.select_related(
            "table_map__version__table_map",
            "table_map__connection_set",
            "cause__assigned_to",
            "dismissed_by",
        )
        .prefetch_related(
            "table_map__version__key_pairs", "table_map__version__columns"
        )
        .filter(pk=error_id)
        .first()
    )
    if error is None:
        raise Http404("This error does not exist any more.")
    return error


def _page(
    request: HttpRequest, error: SyncError, refused: Refusal | None
) -> HttpResponse:
    is_open = error.state in OPEN_ERROR_STATES
    missing = mending.missing_value(error) if is_open else None
    lines = queries.payload_lines(error)
    context: dict[str, Any] = {
        "error": error,
        "lines": lines,
        "unmade": queries.is_unmade(error, lines),
        "known": CODES.get(error.code),
        "is_open": is_open,
        "others": queries.held_together(error),
        "missing": missing,
        "edit_query": mending.editor_query(error, missing),
        "may_mend": may(request, Right.EDIT_MAPS, whole=True),
        "meaning": request.POST.get("meaning", ""),
        "refused": refused,
    }
    return page(
        request,
        "portal/error_page.html",
        context,
        title=f"Error {error.pk}",
        status=409 if refused else 200,
    )
