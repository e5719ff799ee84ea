"""The page of a comparison, its list of differences, repairing and schedules."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import needs
from portal.accounts.roles import Right
from portal.comparisons import queries, schedules, services
from portal.comparisons.models import Comparison, FoundDifference
from portal.comparisons.queries import DifferenceFilter
from portal.maps.models import TableMap
from portal.pages import (
    chosen_ids,
    csv_download,
    keyset_page,
    page,
    safe_next,
)
from portal.refusals import NotFound, Refusal
from syncengine.mapping.model import Side


def _comparison_or_404(comparison_id: int) -> Comparison:
    try:
        return services.find(comparison_id)
    except NotFound as missing:
        raise Http404(missing.message) from missing


def _map_or_404(map_id: int) -> TableMap:
    return get_object_or_404(
        TableMap.objects.select_related("connection_set", "version"), pk=map_id
    )


@needs(Right.SEE, of=Comparison)
@require_safe
def comparison_page(request: HttpRequest, comparison_id: int) -> HttpResponse:
    """One comparison: progress or counts, and what differs."""
    comparison = _comparison_or_404(comparison_id)
    filters = DifferenceFilter.read(request.GET)
    rows = queries.differences(comparison, filters, request.user)
    return page(
        request,
        "portal/comparison_page.html",
        {
            "one": comparison,
            "expected": _expected(comparison),
            "filters": filters,
            "query": filters.query,
            "columns": queries.columns_found(comparison) if comparison.kept else [],
            "kinds": FoundDifference._meta.get_field("kind").choices,
            "page": keyset_page(rows, request) if comparison.kept else None,
            "sides": [side.value for side in Side],
        },
        title=f"{comparison} of {comparison.table_map.name}",
    )


@needs(Right.SEE, of=Comparison)
@require_safe
def comparison_live(request: HttpRequest, comparison_id: int) -> HttpResponse:
    """The changing part while it works; a reload once it has ended."""
    comparison = _comparison_or_404(comparison_id)
    if not comparison.active:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(
        request,
        "portal/_compare_progress.html",
        {"one": comparison, "expected": _expected(comparison)},
    )


def _expected(comparison: Comparison) -> int:
    """About how many rows there are, from the last comparison of the map."""
    last = queries.latest([comparison.table_map_id]).get(comparison.table_map_id)
    return last.rows_read if last is not None else 0


@needs(Right.COMPARE, of=TableMap)
@require_POST
def start(request: HttpRequest, map_id: int) -> HttpResponse:
    """Have a map compared."""
    table_map = _map_or_404(map_id)
    try:
        comparison = services.ask(table_map, user=_user(request))
    except Refusal as refused:
        messages.error(request, refused.message)
        return redirect("map_tab", map_id, "compare")
    return redirect("comparison_page", comparison.pk)


@needs(Right.COMPARE, of=Comparison)
@require_POST
def cancel(request: HttpRequest, comparison_id: int) -> HttpResponse:
    """End a comparison."""
    comparison = _comparison_or_404(comparison_id)
    if services.cancel(comparison, user=_user(request)):
        messages.success(request, f"{comparison} is being cancelled.")
    else:
        messages.warning(request, f"{comparison} has ended already.")
    return redirect("comparison_page", comparison.pk)


@needs(Right.COMPARE, of=Comparison)
@require_http_methods(["GET", "HEAD", "POST"])
def repair(request: HttpRequest, comparison_id: int) -> HttpResponse:
    """Ask which side wins and what that means, then have it repaired."""
    comparison = _comparison_or_404(comparison_id)
    values = request.POST if request.method == "POST" else request.GET
    ids = chosen_ids(values.getlist("difference"))
    filters = DifferenceFilter.read(values)
    matching = values.get("scope") == "matching" and filters.narrowed
    chosen: list[FoundDifference] | None = None
    if matching or ids:
        rows = queries.differences(
            comparison, filters if matching else DifferenceFilter()
        )
        rows = rows if matching else rows.filter(pk__in=ids)
        chosen = list(
            rows.select_related("comparison")[: 1 + services.SELECTED_AT_MOST]
        )
    elif values.get("scope") in ("selected", "matching"):
        messages.warning(request, "Choose at least one difference to repair.")
        return redirect("comparison_page", comparison.pk)
    refused: Refusal | None = None
    if request.method == "POST" and values.get("confirmed") == "yes":
        try:
            made = services.ask(
                comparison.table_map,
                repair=values.get("winner") or "nobody",
                delete_extra=values.get("delete_extra") == "on",
                chosen=chosen,
                user=_user(request),
            )
        except Refusal as caught:
            refused = caught
        except ValueError:
            refused = Refusal("Choose the side that wins.", code="no_winner")
        else:
            return redirect("comparison_page", made.pk)
    return page(
        request,
        "portal/comparison_repair.html",
        {
            "one": comparison,
            "chosen": chosen,
            "number": comparison.differences if chosen is None else len(chosen),
            "ids": [] if matching else ids,
            "pairs": filters.pairs if matching else [],
            "matching": matching,
            "refused": refused,
        },
        title=f"Repair {comparison.table_map.name}",
        status=409 if refused else 200,
    )


@needs(Right.SEE, of=Comparison)
@require_safe
def export(request: HttpRequest, comparison_id: int) -> HttpResponse:
    """The differences that match the filter as CSV."""
    comparison = _comparison_or_404(comparison_id)
    filters = DifferenceFilter.read(request.GET)
    rows = queries.csv_rows(comparison, filters, request.user)
    return csv_download(f"comparison-{comparison.pk}.csv", queries.CSV_COLUMNS, rows)


@needs(Right.COMPARE, of=TableMap)
@require_POST
def schedule(request: HttpRequest, map_id: int) -> HttpResponse:
    """Compare the map, or its whole connection set, each day; or no more."""
    table_map = _map_or_404(map_id)
    back = safe_next(request, reverse("map_tab", args=[map_id, "compare"]))
    about = None if request.POST.get("about") == "set" else table_map
    try:
        if request.POST.get("action") == "remove":
            schedules.remove(table_map.connection_set, about, user=_user(request))
            messages.success(request, "It is no longer compared by itself.")
            return redirect(back)
        hour, minute = _time(request.POST.get("at", ""))
        made = schedules.save(
            table_map.connection_set,
            about,
            hour=hour,
            minute=minute,
            rows_per_second=_whole(request.POST.get("rows_per_second", "")),
            user=_user(request),
        )
    except Refusal as refused:
        messages.error(request, refused.message)
        return redirect(back)
    messages.success(request, f"It is compared daily at {made.time} UTC.")
    return redirect(back)


def _time(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and minute.isdecimal()):
        raise Refusal("Give the time as HH:MM (UTC).", code="bad_time")
    return int(hour), int(minute)


def _whole(text: str) -> int:
    if text.strip() == "":
        return 0
    if not text.isdecimal() or len(text) > 9:
        raise Refusal(
            "Rows a second is a whole number; leave it empty for no limit.",
            code="bad_limit",
        )
    return int(text)


def _user(request: HttpRequest) -> Any:
    return request.user
