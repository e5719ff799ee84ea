"""Pieces of pages that check maps in place: on the map's page, before a run."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.checks.queries import checkable_maps, map_health
from portal.checks.run_plan import planned_maps
from portal.checks.runs import inspect_run
from portal.checks.services import check_map
from portal.maps.models import TableMap
from portal.pages import chosen_ids


@never_cache
@needs(Right.SEE, of=TableMap)
@require_safe
def health(request: HttpRequest, map_id: int) -> HttpResponse:
    """Check a map now and show what was found; nothing but the kept report changes."""
    table_map = get_object_or_404(checkable_maps(), pk=map_id)
    check_map(table_map)
    context = {"map": table_map, "health": map_health(table_map), "oob": True}
    return render(request, "portal/_map_health.html", context)


@never_cache
@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def run_check(request: HttpRequest) -> HttpResponse:
    """What would keep the chosen maps from running, and what to know before."""
    chosen = list(
        checkable_maps()
        .filter(pk__in=chosen_ids(request.GET.getlist("map")))
        .order_by("connection_set__name", "run_order", "name")
    )
    checks = inspect_run(chosen, related=request.GET.get("related") == "on")
    context = {
        "maps": chosen,
        "checks": checks,
        "passed": all(check.passed for check in checks),
        "found": any(check.findings for check in checks),
        "added": [one.table_map for c in checks for one in c.maps if one.added],
        "plan": planned_maps(checks, request.GET),
    }
    return render(request, "portal/_run_check.html", context)
