"""Run, pause, resume and stop, asked for from any page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import needs
from portal.accounts.roles import Right
from portal.checks.refreshing import refresh
from portal.confirming import Removal, confirm_removal
from portal.maps import services
from portal.maps.dependents import paused_prerequisites, running_dependents
from portal.maps.models import TableMap
from portal.maps.queries import in_run_order
from portal.maps.run_form import chosen_maps, read_options
from portal.maps.states import Action, refusal
from portal.pages import chosen_ids, page, safe_next
from portal.refusals import Refusal
from portal.sync.models import QueuedChange

DONE = {
    Action.RUN: "Started",
    Action.PAUSE: "Paused",
    Action.RESUME: "Resumed",
    Action.STOP: "Stopped",
}

ASKS = {"ask_run": "map_run", "ask_resume": "map_resume", "ask_stop": "map_stop"}
"""Buttons that lead to a question first."""

CHOSEN = {"map": TableMap, "include": TableMap, "plan": TableMap, "copy": TableMap}
"""Fields that name maps."""


@needs(Right.RUN, picked=CHOSEN)
@require_safe
def confirm_run(request: HttpRequest) -> HttpResponse:
    """How to run the chosen maps: copy first, who wins, with which others."""
    return _run_form(request, in_run_order(chosen_ids(request.GET.getlist("map"))))


def _run_form(
    request: HttpRequest,
    maps: list[TableMap],
    *,
    refused: Refusal | None = None,
    chosen: QueryDict | None = None,
) -> HttpResponse:
    back = safe_next(request, reverse("map_list"))
    if not maps:
        messages.warning(request, "Choose at least one map to run.")
        return redirect(back)
    blocked = [
        reason
        for one in maps
        if (reason := refusal(Action.RUN, one.name, one.state)) is not None
    ]
    return page(
        request,
        "portal/map_run.html",
        {
            "maps": maps,
            "blocked": blocked,
            "refused": refused,
            "next": back,
            "chosen": _shown(chosen if chosen is not None else request.GET),
            "kept": _kept(chosen),
        },
        title="Run maps" if len(maps) > 1 else f"Run {maps[0].name}",
        status=409 if refused else 200,
    )


def _shown(values: QueryDict) -> dict[str, Any]:
    """What the dialog shows as chosen; links to it may choose beforehand."""
    posted = values.get("action") == "run"
    return {
        "skip": values.get("initial_sync", "" if posted else "on") != "on",
        "master": values.get("master") or services.DEFAULT_MASTER.value,
        "related": values.get("related", "" if posted else "on") == "on",
        "new_rows_only": values.get("new_rows_only") == "on",
        "error_limit": values.get("error_limit", ""),
        "error_percent": values.get("error_percent", ""),
    }


def _kept(values: QueryDict | None) -> list[tuple[str, str]]:
    """The plan as it was sent, for the check that shows it again."""
    if values is None:
        return []
    return [
        (name, value)
        for name, each in values.lists()
        if name in ("plan", "include", "copy") or name.startswith("master_")
        for value in each
    ]


@needs(Right.RUN, picked=CHOSEN)
@require_safe
def confirm_stop(request: HttpRequest) -> HttpResponse:
    """Ask before maps are stopped, and say what is lost."""
    maps = in_run_order(chosen_ids(request.GET.getlist("map")))
    back = safe_next(request, reverse("map_list"))
    if not maps:
        messages.warning(request, "Choose at least one map to stop.")
        return redirect(back)
    return page(
        request,
        "portal/map_stop.html",
        {
            "maps": maps,
            "queued": QueuedChange.objects.filter(table_map__in=maps).count(),
            "dependents": running_dependents(maps),
            "next": back,
        },
        title="Stop maps" if len(maps) > 1 else f"Stop {maps[0].name}",
    )


@needs(Right.RUN, picked=CHOSEN)
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """Do one action with all chosen maps or with none of them."""
    back = safe_next(request, reverse("map_list"))
    wanted = request.POST.get("action", "")
    if wanted == "refresh":
        return _refresh(request, back)
    if wanted in ASKS:
        ids = chosen_ids(request.POST.getlist("map"))
        query = urlencode({"map": ids, "next": back}, doseq=True)
        return redirect(f"{reverse(ASKS[wanted])}?{query}")
    try:
        action = Action(wanted)
    except ValueError:
        messages.error(request, "Choose what to do: run, pause, resume or stop.")
        return redirect(back)
    if action is Action.RUN:
        return _run(request, back)
    maps = in_run_order(chosen_ids(request.POST.getlist("map")))
    if not maps:
        messages.warning(request, f"Choose at least one map to {action.value}.")
        return redirect(back)
    if action is Action.PAUSE and "asked" not in request.POST:
        chosen = {one.pk for one in maps}
        if any(one.pk not in chosen for one in running_dependents(maps)):
            query = urlencode({"map": sorted(chosen), "next": back}, doseq=True)
            return redirect(f"{reverse('map_pause')}?{query}")
    if action is Action.RESUME and paused_prerequisites(maps):
        query = urlencode({"map": [one.pk for one in maps], "next": back}, doseq=True)
        return redirect(f"{reverse('map_resume')}?{query}")
    try:
        result = services.perform(action, maps, user=request.user)
    except Refusal as refused:
        messages.error(request, " ".join([refused.message, *refused.reasons]))
        return redirect(back)
    messages.success(request, _outcome(action, result))
    return redirect(back)


def _run(request: HttpRequest, back: str) -> HttpResponse:
    """Run the ticked maps as the dialog says; back to it where that cannot be."""
    maps = in_run_order(chosen_maps(request.POST))
    if not maps:
        messages.warning(request, "Choose at least one map to run.")
        return redirect(back)
    try:
        options = read_options(request.POST)
        result = services.run(maps, user=request.user, options=options)
    except Refusal as refused:
        opened = in_run_order(chosen_ids(request.POST.getlist("map"))) or maps
        return _run_form(request, opened, refused=refused, chosen=request.POST)
    messages.success(request, _outcome(Action.RUN, result))
    return redirect(back)


def _refresh(request: HttpRequest, back: str) -> HttpResponse:
    maps = in_run_order(chosen_ids(request.POST.getlist("map")))
    if not maps:
        messages.warning(request, "Choose at least one map whose tables to read.")
    for one in refresh(maps, user=request.user):
        tell = messages.error if one.blocking else messages.success
        tell(request, one.words)
    return redirect(back)


@needs(Right.EDIT_MAPS, of=TableMap)
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then delete a map."""
    table_map = get_object_or_404(
        TableMap.objects.select_related("connection_set"), pk=pk
    )

    def remove(_force: bool) -> tuple[str, str]:
        services.delete(table_map, user=request.user)
        return f"{table_map.name} was deleted.", reverse("map_list")

    removal = Removal(
        verb="Delete",
        name=table_map.name,
        kind="map",
        losses=(
            "Its versions, runs, queued changes and errors are deleted. The activity "
            "log stays.",
            "The records of both systems stay as they are. Their databases go on "
            f"reporting changes of its tables until {table_map.connection_set.name} "
            "is unlinked; the portal passes over them.",
        ),
        back=reverse("map_page", args=[pk]),
    )
    return confirm_removal(request, removal, remove)


def _outcome(action: Action, result: services.ActionResult) -> str:
    names = ", ".join(one.name for one in result.changed)
    parts = [f"{DONE[action]}: {names}."] if names else []
    if result.unchanged:
        already = ", ".join(one.name for one in result.unchanged)
        parts.append(f"Nothing to do for {already}.")
    if result.discarded:
        parts.append(f"{result.discarded:,} queued changes were thrown away.")
    return " ".join(parts)
