"""Resuming with a choice, queues as files, and what is set aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import Count, Min, Sum
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.environments.models import ConnectionSet
from portal.maps import maintenance
from portal.maps.dependents import paused_prerequisites, running_dependents
from portal.maps.models import MapState, TableMap
from portal.maps.queries import in_run_order
from portal.pages import chosen_ids, page, safe_next
from portal.refusals import Refusal
from portal.sync import saving, skipping
from portal.sync.models import QueuedChange, SavedQueue, SetAsideChange
from portal.sync.skipping import Skip

WORD = "discard"
"""What is typed before a queue is thrown away."""


@needs(Right.RUN, picked={"map": TableMap})
@require_safe
def ask_resume(request: HttpRequest) -> HttpResponse:
    """The three ways to go on after a pause."""
    return _resume_form(request, in_run_order(chosen_ids(request.GET.getlist("map"))))


def _resume_form(
    request: HttpRequest,
    maps: list[TableMap],
    *,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    back = safe_next(request, reverse("map_list"))
    if not maps:
        messages.warning(request, "Choose at least one map to resume.")
        return redirect(back)
    waiting = QueuedChange.objects.filter(table_map__in=maps).aggregate(
        number=Count("pk"), bytes=Sum("size"), oldest=Min("committed_at")
    )
    return page(
        request,
        "portal/map_resume.html",
        {
            "maps": maps,
            "waiting": waiting,
            "needed": paused_prerequisites(maps),
            "refused": refused,
            "resuming": all(one.state == MapState.RESUMING for one in maps),
            "word": WORD,
            "next": back,
        },
        title="Resume maps" if len(maps) > 1 else f"Resume {maps[0].name}",
        status=status,
    )


@needs(Right.RUN, picked={"map": TableMap})
@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    """Go on as chosen."""
    maps = in_run_order(chosen_ids(request.POST.getlist("map")))
    back = safe_next(request, reverse("map_list"))
    if not maps:
        messages.warning(request, "Choose at least one map to resume.")
        return redirect(back)
    wanted = request.POST.get("how", "")
    skip = Skip(wanted) if wanted in list(Skip) else None
    if skip is Skip.DISCARD and request.POST.get("word", "").strip() != WORD:
        return _resume_form(
            request,
            maps,
            refused=f"Type {WORD} to throw the queue away; nothing was changed.",
            status=400,
        )
    try:
        skipping.resume(maps, skip, user=_user(request))
    except Refusal as caught:
        text = " ".join([caught.message, *caught.reasons])
        return _resume_form(request, maps, refused=text, status=409)
    names = ", ".join(one.name for one in maps)
    messages.success(request, f"Resumed: {names}.")
    return redirect(back)


@needs(Right.RUN, picked={"map": TableMap})
@require_safe
def ask_pause(request: HttpRequest) -> HttpResponse:
    """Which maps that refer to the chosen ones pause with them."""
    maps = in_run_order(chosen_ids(request.GET.getlist("map")))
    back = safe_next(request, reverse("map_list"))
    if not maps:
        messages.warning(request, "Choose at least one map to pause.")
        return redirect(back)
    return page(
        request,
        "portal/map_pause.html",
        {"maps": maps, "dependents": running_dependents(maps), "next": back},
        title="Pause maps" if len(maps) > 1 else f"Pause {maps[0].name}",
    )


@needs(Right.SEE, of=TableMap)
@require_safe
def export(request: HttpRequest, map_id: int, which: str, kind: str) -> HttpResponse:
    """The queue of a map, or what is set aside of it, as a file."""
    table_map = get_object_or_404(TableMap, pk=map_id)
    model = {"queue": QueuedChange, "set-aside": SetAsideChange}.get(which)
    if model is None or kind not in saving.FORMATS:
        raise Http404("There is no such file.")
    rows: Any = model._default_manager.visible_to(request.user).filter(
        table_map=table_map
    )
    search = request.GET.get("key", "").strip()
    if search:
        rows = rows.filter(key_text__icontains=search)
    ordered = rows.order_by("position", "ordinal").iterator(chunk_size=2000)
    return _download(
        f"{table_map.name} {which}", kind, (saving.line_of(row) for row in ordered)
    )


@needs(Right.SEE, of=SavedQueue, all_companies=True)
@require_safe
def saved(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """A kept file."""
    found = get_object_or_404(SavedQueue.objects.select_related("table_map"), pk=pk)
    if kind not in saving.FORMATS:
        raise Http404("There is no such file.")
    name = f"{found.table_map.name} {found.created_at:%Y-%m-%d %H-%M}"
    return _download(name, kind, saving.saved_lines(found))


def _download(
    name: str, kind: str, lines: Iterator[dict[str, Any]]
) -> StreamingHttpResponse:
    plain = "".join(c if c.isalnum() or c in " -_" else "-" for c in name)
    return StreamingHttpResponse(
        saving.FORMATS[kind](lines),
        content_type=saving.TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{plain}.{kind}"'},
    )


@needs(Right.RUN, of=TableMap)
@require_POST
def set_aside(request: HttpRequest, map_id: int) -> HttpResponse:
    """Carry over, or throw away, what is set aside of a map."""
    table_map = get_object_or_404(TableMap, pk=map_id)
    back = reverse("map_tab", args=[map_id, "queued"])
    try:
        if request.POST.get("action") == "discard":
            if request.POST.get("word", "").strip() != WORD:
                messages.error(request, f"Type {WORD} first; nothing was changed.")
                return redirect(back)
            number, _ = skipping.discard_set_aside(table_map, user=_user(request))
            messages.success(
                request, f"{number:,} changes were saved as a file and thrown away."
            )
        else:
            number = skipping.replay(table_map, user=_user(request))
            messages.success(request, f"{number:,} changes are being carried over.")
    except Refusal as caught:
        messages.error(request, caught.message)
    return redirect(back)


@needs(Right.RUN, of=ConnectionSet)
@require_POST
def set_action(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause a whole connection set for maintenance, or let it go on."""
    connection_set = get_object_or_404(ConnectionSet, pk=pk)
    back = safe_next(request, reverse("dashboard"))
    try:
        if request.POST.get("action") == "resume":
            result = maintenance.resume_set(connection_set, user=_user(request))
            word = "resumed"
        else:
            result = maintenance.pause_set(connection_set, user=_user(request))
            word = "paused"
    except Refusal as caught:
        messages.error(request, caught.message)
        return redirect(back)
    number = len(result.changed)
    noun = "map" if number == 1 else "maps"
    messages.success(request, f"{connection_set.name}: {number} {noun} {word}.")
    return redirect(back)


def _user(request: HttpRequest) -> Any:
    return request.user
