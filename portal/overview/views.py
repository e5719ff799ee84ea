"""The dashboard, the map list and the map page with its tabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from portal import labels
from portal.access import demand_all_companies, needs
from portal.accounts.roles import Right
from portal.accounts.scope import scope_of
from portal.activity import queries as activity_queries
from portal.alerts.queries import open_alerts
from portal.checks.queries import map_health
from portal.checks.services import check_map
from portal.environments.models import ConnectionSet
from portal.errors import queries as error_queries
from portal.errors.causes import known_total
from portal.maps.models import MapState, TableMap
from portal.maps.states import Action, refusal
from portal.overview import (
    compare_tab,
    glance,
    map_filters,
    map_tabs,
    preview_tab,
    queries,
    version_tab,
)
from portal.overview.map_list import GROUPS, MapFilter
from portal.overview.map_list import map_list as list_maps
from portal.overview.status import MapStatus, SetStatus, verdict
from portal.pages import chosen_ids, is_partial, keyset_page, page
from portal.runs.figures import RunFigures, figures, runs_of
from portal.runs.left_out import broken_off
from portal.runs.models import InitialSyncRun
from portal.sample.crossing import is_sample
from portal.setup.access import may_set_up

RUNS_A_PAGE = 10

TABS = {
    "columns": "Columns",
    "filters": "Filters",
    "preview": "Preview",
    "health": "Health",
    "versions": "Versions",
    "initial-sync": "Initial sync",
    "compare": "Compare",
    "queued": "Queued",
    "errors": "Errors",
    "activity": "Activity",
}

SHOW_RECORDS = ("filters", "preview")
"""Tabs that read records of any company from both systems."""

ACTION_BUTTONS = {
    Action.RUN: ("Run", "play_arrow"),
    Action.PAUSE: ("Pause", "pause"),
    Action.RESUME: ("Resume", "resume"),
    Action.STOP: ("Stop", "stop"),
}


@needs(Right.SEE)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Everything at a glance, kept live by `dashboard_live`."""
    sets = queries.connection_sets(request.user)
    listed = glance.shown(sets)
    return page(
        request,
        "portal/dashboard.html",
        {
            **_dashboard(request, sets, listed),
            "trends": glance.trends(request.GET, request.user),
            "shape": _shape(sets),
            "listed": ",".join(str(row.map.pk) for one in listed for row in one.maps),
            "may_set_up": not sets and may_set_up(request.user),
            "sample_set": next(
                (
                    one.connection_set.pk
                    for one in sets
                    if is_sample(one.connection_set)
                ),
                None,
            ),
        },
        title="Dashboard",
    )


@needs(Right.SEE)
@require_safe
def dashboard_live(request: HttpRequest) -> HttpResponse:
    """The changing parts of the dashboard; asks for a reload when maps came or went."""
    sets = queries.connection_sets(request.user)
    if request.GET.get("shape") != _shape(sets):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    ids = chosen_ids(request.GET.get("maps", "").split(","))
    return render(
        request,
        "portal/_dashboard_live.html",
        _dashboard(request, sets, glance.shown(sets, ids)),
    )


@needs(Right.SEE)
@require_safe
def dashboard_trends(request: HttpRequest) -> HttpResponse:
    """The charts of the dashboard, for the window that is asked for."""
    return render(
        request,
        "portal/_trends.html",
        {"trends": glance.trends(request.GET, request.user)},
    )


def _dashboard(
    request: HttpRequest, sets: list[SetStatus], listed: list[glance.Shown]
) -> dict[str, Any]:
    return {
        "sets": listed,
        "verdict": verdict(sets),
        "alerts": open_alerts(request.user),
        "glance": glance.glance(sets, request.user),
        **glance.recent(request.user),
    }


def _shape(sets: list[SetStatus]) -> str:
    maps = [status.map.pk for one in sets for status in one.maps]
    streams = sum(len(one.streams) for one in sets)
    paused = sum(one.connection_set.paused_at is not None for one in sets)
    return f"{len(sets)}-{streams}-{len(maps)}-{max(maps, default=0)}-{paused}"


@needs(Right.SEE)
@require_safe
def map_list(request: HttpRequest) -> HttpResponse:
    """All maps, filtered, with bulk actions."""
    filters = MapFilter.read(request.GET)
    listed = list_maps(filters, request.user)
    names = list(
        ConnectionSet.objects.visible_to(request.user)
        .order_by("name")
        .values_list("name", flat=True)
    )
    return page(
        request,
        "portal/map_list.html",
        {
            "listed": listed,
            "rows": listed.rows,
            "filters": filters,
            "states": MapState.choices,
            "healths": [(name, label.word) for name, label in labels.HEALTH.items()],
            "group_choices": GROUPS.items(),
            "set_names": names,
            "show_set": len(names) > 1 and listed.group != "set",
        },
        title="Maps",
    )


@needs(Right.SEE, picked={"ids": TableMap})
@require_safe
def map_list_live(request: HttpRequest) -> HttpResponse:
    """The changing cells of the listed maps."""
    ids = chosen_ids(request.GET.get("ids", "").split(","))
    return render(
        request,
        "portal/_map_cells.html",
        {"rows": queries.map_statuses(ids, user=request.user)},
    )


def _map_or_404(request: HttpRequest, map_id: int) -> MapStatus:
    row = queries.map_status(map_id, request.user)
    if row is None:
        raise Http404("This map does not exist any more.")
    return row


@needs(Right.SEE, of=TableMap)
@require_safe
def map_page(request: HttpRequest, map_id: int, tab: str = "columns") -> HttpResponse:
    """One map: its state and actions, and one tab."""
    if tab not in TABS:
        raise Http404("This map has no such tab.")
    row = _map_or_404(request, map_id)
    if tab in SHOW_RECORDS:
        demand_all_companies(request)
    if tab == "health" and "check" in request.GET:
        check_map(row.map)
    context: dict[str, Any] = {
        "row": row,
        "tab": tab,
        "tabs": TABS.items(),
        "health": map_health(row.map),
        **_actions(row),
        **_tab_context(request, row, tab),
    }
    partial = (
        is_partial(request) and "HX-History-Restore-Request" not in request.headers
    )
    if partial and request.headers.get("HX-Target") == "map-tabs":
        response = render(request, "portal/_map_tabs.html", context)
    elif partial and map_filters.wants_results(request):
        response = render(request, "portal/_filter_results.html", context)
    else:
        response = page(request, "portal/map_page.html", context, title=row.map.name)
    patch_vary_headers(response, ["HX-Request"])
    return response


@needs(Right.SEE, of=TableMap)
@require_safe
def map_live(request: HttpRequest, map_id: int, tab: str = "columns") -> HttpResponse:
    """The changing parts of a map's page and of its open tab."""
    row = _map_or_404(request, map_id)
    context: dict[str, Any] = {"row": row, "tab": tab, **_actions(row)}
    if tab == "initial-sync":
        context["runs"] = _runs(
            request, keyset_page(runs_of([map_id]), request, size=RUNS_A_PAGE).rows
        )
    return render(request, "portal/_map_live.html", context)


def _runs(
    request: HttpRequest, runs: Sequence[InitialSyncRun]
) -> list[tuple[RunFigures, bool]]:
    """The runs with what became of them, and whether their companies are left out."""
    left = broken_off(runs)
    shown = figures(runs, scope=scope_of(request.user))
    return [(one, one.run.pk in left) for one in shown]


def _actions(row: MapStatus) -> dict[str, Any]:
    """The four actions; a disabled one says why."""
    state = row.map.get_state_display()
    found = []
    for action, (word, icon) in ACTION_BUTTONS.items():
        allowed = action.value in row.actions
        why = ""
        if not allowed:
            why = (
                refusal(action, row.map.name, row.map.state)
                or f"{row.map.name} is {state} already."
            )
        found.append(
            {
                "name": action.value,
                "word": word,
                "icon": icon,
                "allowed": allowed,
                "why": why,
                "asks": action in (Action.RUN, Action.STOP),
            }
        )
    refused = [action["word"] for action in found if not action["allowed"]]
    can_skip = row.map.state in (MapState.PAUSED, MapState.RESUMING)
    return {"actions": found, "refused": ", ".join(refused), "can_skip": can_skip}


def _tab_context(request: HttpRequest, row: MapStatus, tab: str) -> dict[str, Any]:
    map_id = row.map.pk
    if tab == "columns":
        version = row.map.version
        return {
            "lines": map_tabs.column_lines(version) if version else [],
            "lookups": list(version.lookups.all()) if version else [],
        }
    if tab == "filters":
        return {"filters": map_filters.filters_tab(request, row.map)}
    if tab == "preview":
        address = reverse("map_tab", args=[map_id, "preview"])
        return {"address": address, **preview_tab.context(request, row.map)}
    if tab == "health":
        return {}
    if tab == "versions":
        offered = version_tab.offered_instead(row.map, row.reason)
        return {"offered": offered, **version_tab.context(request, row.map)}
    if tab == "initial-sync":
        found = keyset_page(runs_of([map_id]), request, size=RUNS_A_PAGE)
        return {
            "page": found,
            "runs": _runs(request, found.rows),
            "offered": version_tab.offered_instead(row.map, row.reason),
        }
    if tab == "compare":
        return compare_tab.context(request, row.map)
    if tab == "queued":
        search = request.GET.get("key", "").strip()
        queue = map_tabs.queue_of(map_id, search, request.user)
        return {
            "page": keyset_page(queue, request),
            "key": search,
            "query": urlencode({"key": search}) if search else "",
            "aside": map_tabs.set_aside_of(map_id, request.user),
            "saved": map_tabs.saved_queues_of(map_id),
        }
    if tab == "errors":
        filters = error_queries.ErrorFilter.read(
            request.GET, map_id=map_id, user=request.user
        )
        return {
            "filters": filters,
            "page": keyset_page(
                error_queries.error_list(filters),
                request,
                total=known_total(filters),
                shared=filters.shared,
                limit=filters.count_limit,
            ),
            "choices": error_queries.choices(filters),
            "query": filters.query,
        }
    filters_of_log = activity_queries.ActivityFilter.read(
        request.GET, map_id=map_id, user=request.user
    )
    return {
        "filters": filters_of_log,
        "page": keyset_page(
            activity_queries.activity_list(filters_of_log),
            request,
            shared=filters_of_log.shared,
        ),
        "query": filters_of_log.query,
    }
