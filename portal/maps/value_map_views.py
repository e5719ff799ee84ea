"""Shared value maps in the browser: the list, one of them, deleting."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.confirming import Removal, confirm_removal
from portal.maps import shared_values, value_map_list, value_maps
from portal.maps.models import MapState, SharedValueMap
from portal.pages import PAGE_SIZE, page
from portal.refusals import Refusal
from syncengine.mapping.value_pairs import ambiguities, read_pairs, write_pairs

ASKING = require_http_methods(["GET", "HEAD", "POST"])


@needs(Right.SEE)
@require_safe
def value_map_list_page(request: HttpRequest) -> HttpResponse:
    """All shared value maps that match, and the ready-made ones still to be had."""
    filters = value_map_list.ValueMapFilter.read(request.GET)
    found = value_map_list.rows(filters, request.user)
    pages = Paginator(found, PAGE_SIZE)
    return page(
        request,
        "portal/value_map_list.html",
        {
            "filters": filters,
            "rows": pages.get_page(request.GET.get("page")),
            "count": len(found),
            "used_choices": value_map_list.USED.items(),
            "ready_made": value_map_list.not_taken_over(),
            "may_add": may(request, Right.EDIT_MAPS, whole=True),
        },
        title="Value maps",
    )


@needs(Right.EDIT_MAPS, whole=True)
@require_POST
def value_map_take(request: HttpRequest) -> HttpResponse:
    """Take over a ready-made value map."""
    try:
        made = value_maps.add_ready_made(
            request.POST.get("name", ""),
            user=request.user,  # type: ignore[arg-type]
        )
    except Refusal as refused:
        messages.error(request, refused.message)
        return redirect("value_map_list")
    messages.success(request, f"{made.name} was added.")
    return redirect("value_map_page", pk=made.pk)


@needs(Right.EDIT_MAPS, whole=True)
@ASKING
def value_map_new(request: HttpRequest) -> HttpResponse:
    """A form for a new one."""
    return _edit(request, None)


@needs(Right.SEE, post=Right.EDIT_MAPS, whole=True)
@ASKING
def value_map_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One shared value map: its pairs, to read or change, and who uses it."""
    stored = get_object_or_404(SharedValueMap, pk=pk)
    return _edit(request, stored)


def _edit(request: HttpRequest, stored: SharedValueMap | None) -> HttpResponse:
    """Show the pairs as text; save what comes back unless something is wrong."""
    pairs = shared_values.as_pairs(stored.pairs.all()) if stored else ()
    text, name = write_pairs(pairs), stored.name if stored else ""
    notes = tuple(ambiguities(pairs))
    refused: Refusal | None = None
    if request.method == "POST":
        text = request.POST.get("pairs", "")
        name = stored.name if stored else request.POST.get("name", "").strip()
        given = read_pairs(text)
        notes = given.notes
        try:
            if given.problems:
                raise Refusal("Nothing was saved.", reasons=given.problems)
            if stored is None and SharedValueMap.objects.filter(name=name).exists():
                raise Refusal(f"There is a value map {name} already.")
            done = value_maps.save(
                name,
                given.pairs,
                user=request.user,  # type: ignore[arg-type]
            )
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, _outcome(done))
            return redirect("value_map_page", pk=done.value_map.pk)
    users = list(shared_values.users_of(stored.name, request.user)) if stored else []
    context: dict[str, Any] = {
        "stored": stored,
        "name": name,
        "text": text,
        "lines": min(max(text.count("\n") + 2, 8), 30),
        "count": len(pairs),
        "notes": notes,
        "refused": refused,
        "users": users,
        "busy": [one for one in users if one.state != MapState.NOT_RUNNING],
        "may_change": may(request, Right.EDIT_MAPS, whole=True),
        "may_delete": stored is not None and may(request, Right.EDIT_MAPS, whole=True),
    }
    title = stored.name if stored else "New value map"
    status = 409 if refused else 200
    return page(request, "portal/value_map.html", context, title=title, status=status)


def _outcome(done: value_maps.Saved) -> str:
    name = done.value_map.name
    if done.created:
        return f"{name} was made."
    if not done.changed:
        return f"{name} has these pairs already."
    if not done.versions:
        return f"{name} was changed."
    maps = ", ".join(f"{one.table_map.name} ({one.version})" for one in done.versions)
    return f"{name} was changed. New versions: {maps}."


@needs(Right.EDIT_MAPS, whole=True)
@ASKING
def value_map_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then forget a shared value map."""
    stored = get_object_or_404(SharedValueMap, pk=pk)

    def remove(_force: bool) -> tuple[str, str]:
        value_maps.delete(stored, user=request.user)  # type: ignore[arg-type]
        return f"{stored.name} was deleted.", reverse("value_map_list")

    removal = Removal(
        verb="Delete",
        name=stored.name,
        kind="value map",
        losses=(
            f"Its {stored.pairs.count()} pairs are forgotten. Earlier versions of maps "
            "keep the pairs they were made with.",
        ),
        back=reverse("value_map_page", args=[pk]),
    )
    return confirm_removal(request, removal, remove)
