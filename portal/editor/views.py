"""The editor of a map: its pages, and the small answers to each change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import needs
from portal.accounts.roles import Right
from portal.editor import services, tables
from portal.editor.content import (
    Edit,
    add_line,
    change_line,
    move_line,
    remove_line,
    with_symbol,
)
from portal.editor.forms import line_of, line_with_rule, new_line
from portal.editor.line_panel import panel_context
from portal.editor.pickers import choices, unmapped
from portal.editor.showing import (
    Desk,
    checked,
    desk,
    frame,
    shown_lines,
    summary,
)
from portal.maps.models import TableMap
from portal.pages import View, page, safe_next
from portal.refusals import Refusal
from syncengine.mapping.model import Side


def find_map(map_id: int) -> TableMap:
    """The map with all that the editor reads; 404 when it is gone."""
    return get_object_or_404(
        TableMap.objects.select_related(
            "connection_set__finops",
            "connection_set__dataverse",
            "version__table_map",
        ),
        pk=map_id,
    )


def changing(view: View) -> View:
    """A POST that changes the draft, by those who may."""

    @wraps(view)
    @needs(Right.EDIT_MAPS, of=TableMap)
    @require_POST
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return guarded


def refused_answer(request: HttpRequest, refused: Refusal) -> HttpResponse:
    """Why a change was not taken, shown above the grid."""
    return render(request, "portal/editor/_refused_change.html", {"refused": refused})


@needs(Right.SEE, of=TableMap, all_companies=True)
@require_safe
def columns(request: HttpRequest, map_id: int) -> HttpResponse:
    """The grid of column maps."""
    one = desk(request, find_map(map_id))
    return page(
        request,
        "portal/editor/columns.html",
        _grid(one) | frame(one, "columns"),
        title=f"{one.table_map.name}: edit",
    )


def _grid(one: Desk, focus: str = "") -> dict[str, Any]:
    sides, found = checked(one)
    lines = shown_lines(one, found)
    definition = one.draft.definition
    return {
        "lines": lines,
        "checked": found,
        "summary": summary(one, lines, found),
        "picks": [
            (side.value, choices(sides[side], definition, side)) for side in Side
        ],
        "unmapped": [
            (
                side.value,
                definition.table(side),
                unmapped(sides[side], definition, side),
            )
            for side in Side
        ],
        "focus": focus,
    }


def regridded(
    request: HttpRequest, table_map: TableMap, focus: str = ""
) -> HttpResponse:
    """The grid anew, after lines came, went or moved."""
    one = desk(request, table_map)
    context = _grid(one, focus) | frame(one, "columns")
    return render(request, "portal/editor/_grid_answer.html", context)


def _said(request: HttpRequest, table_map: TableMap) -> HttpResponse:
    """What the check says now, each at its place; the fields are left alone."""
    one = desk(request, table_map)
    _, found = checked(one)
    lines = shown_lines(one, found)
    return render(
        request,
        "portal/editor/_said.html",
        {
            "lines": lines,
            "checked": found,
            "summary": summary(one, lines, found),
            **frame(one, "columns"),
        },
    )


def _answer(
    request: HttpRequest,
    map_id: int,
    edit: Edit,
    subject: str,
    then: Callable[[HttpRequest, TableMap], HttpResponse] = _said,
) -> HttpResponse:
    table_map = find_map(map_id)
    try:
        services.change(table_map, edit, subject, user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    return then(request, table_map)


@changing
def begin(request: HttpRequest, map_id: int) -> HttpResponse:
    """Begin a draft, or go on with the one there is."""
    table_map = find_map(map_id)
    try:
        services.begin(table_map, user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        messages.error(request, refused.message)
    return redirect(safe_next(request, reverse("map_edit", args=[map_id])))


@changing
def take_over(request: HttpRequest, map_id: int) -> HttpResponse:
    """Hold a draft that somebody else has begun."""
    table_map = find_map(map_id)
    try:
        services.take_over(table_map, user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, "The draft is yours now.")
    return redirect("map_edit", map_id=map_id)


@needs(Right.EDIT_MAPS, of=TableMap)
@require_http_methods(["GET", "HEAD", "POST"])
def discard(request: HttpRequest, map_id: int) -> HttpResponse:
    """Ask, then throw the draft away."""
    table_map = find_map(map_id)
    one = desk(request, table_map)
    if one.row is None:
        return redirect("map_edit", map_id=map_id)
    if request.method == "POST":
        services.discard(table_map, user=request.user)  # type: ignore[arg-type]
        messages.success(request, f"The draft of {table_map.name} was discarded.")
        return redirect("map_page", map_id=map_id)
    return page(
        request,
        "portal/editor/discard.html",
        frame(one, "columns"),
        title=f"Discard the draft of {table_map.name}",
    )


@changing
def undo(request: HttpRequest, map_id: int) -> HttpResponse:
    """Take the last change back and show the page it was made on anew."""
    table_map = find_map(map_id)
    try:
        services.undo(table_map, user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    return HttpResponse(status=204, headers={"HX-Refresh": "true"})


@changing
def read_tables(request: HttpRequest, map_id: int) -> HttpResponse:
    """Read the tables of both systems anew."""
    tables.forget(find_map(map_id).connection_set)
    return HttpResponse(status=204, headers={"HX-Refresh": "true"})


@changing
def line_change(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """The fields of a row of the grid."""

    def edit(draft: Any) -> Any:
        line = line_of(request.POST, draft.line(line_id))
        return change_line(line_id, line, key="key" in request.POST)(draft)

    return _answer(request, map_id, edit, f"line {line_id}")


@changing
def line_add(request: HttpRequest, map_id: int) -> HttpResponse:
    """A new line, behind another where that is named; `finops` and `dataverse` may
    give its columns, `place` a mandatory column of either side."""
    after = request.POST.get("after", "")
    table_map = find_map(map_id)
    fields = request.POST
    if place := fields.get("place", ""):
        fields = _at_its_side(desk(request, table_map), place)
    line = new_line(fields)
    edit = add_line(line, int(after) if after.isdecimal() else None)
    try:
        draft = services.change(table_map, edit, "add line", user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    side = "dataverse" if line.finops else "finops"
    return regridded(request, table_map, f"{side}-{draft.next_id - 1}")


def _at_its_side(one: Desk, place: str) -> dict[str, str]:
    """A mandatory column under the name of the side that has it."""
    sides, _ = checked(one)
    for side in (Side.DATAVERSE, Side.FINOPS):
        table = sides[side].table(one.draft.definition.table(side))
        column = table.column(place) if table else None
        if column is not None and column.required:
            return {side.value: column.name}
    return {}


@changing
def line_remove(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """Take a line away; the focus goes to the one that takes its place."""
    table_map = find_map(map_id)
    focus = ""

    def edit(draft: Any) -> Any:
        nonlocal focus
        place = draft.place(line_id)
        left = [number for number in draft.ids if number != line_id]
        if left:
            focus = f"finops-{left[min(place, len(left) - 1)]}"
        return remove_line(line_id)(draft)

    try:
        services.change(table_map, edit, "remove line", user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    return regridded(request, table_map, focus)


@changing
def line_move(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """Move a line `by` so many places, or to stand before another (`before`, or at
    the end where that is empty)."""

    def edit(draft: Any) -> Any:
        before = request.POST.get("before")
        if before is None:
            by = -1 if request.POST.get("by") == "-1" else 1
            return move_line(line_id, draft.place(line_id) + by)(draft)
        others = [number for number in draft.ids if number != line_id]
        wanted = int(before) if before.isdecimal() else 0
        place = others.index(wanted) if wanted in others else len(others)
        return move_line(line_id, place)(draft)

    return _answer(request, map_id, edit, f"move {line_id}", regridded)


@needs(Right.SEE, of=TableMap, all_companies=True)
@require_safe
def line_panel(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """All of one line: its columns, and what makes its value."""
    one = desk(request, find_map(map_id))
    try:
        context = panel_context(one, line_id)
    except Refusal as refused:
        return refused_answer(request, refused)
    return render(request, "portal/editor/_line_panel.html", context)


@changing
def line_lookup(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """Look a reference up by another key: the path of one side of a line."""
    side = Side.FINOPS if request.POST.get("side") == "finops" else Side.DATAVERSE
    wanted = request.POST.get("path", "").strip()

    def edit(draft: Any) -> Any:
        line = draft.line(line_id)
        changed = replace(line, **{side.value: wanted or line.on(side)})
        return change_line(line_id, changed)(draft)

    return _answer(
        request,
        map_id,
        edit,
        f"lookup {line_id}",
        lambda request, table_map: regridded(
            request, table_map, f"{side.value}-{line_id}"
        ),
    )


@changing
def line_rule(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """What makes the value of a line; `panel` asks for the panel anew."""
    table_map = find_map(map_id)
    problems: tuple[str, ...] = ()

    def edit(draft: Any) -> Any:
        nonlocal problems
        before = draft.line(line_id)
        after, problems = line_with_rule(request.POST, before)
        if problems:
            return draft
        return change_line(line_id, with_symbol(before, after))(draft)

    try:
        services.change(table_map, edit, f"rule {line_id}", user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    one = desk(request, table_map)
    _, found = checked(one)
    lines = shown_lines(one, found)
    context = {
        "lines": lines,
        "checked": found,
        "summary": summary(one, lines, found),
        **frame(one, "columns"),
        **panel_context(one, line_id),
        "problems": problems,
        "anew": "panel" in request.POST,
    }
    return render(request, "portal/editor/_rule_answer.html", context)


def edit_address(map_id: int, part: str = "") -> str:
    """Where a part of the editor is."""
    if part in ("", "columns"):
        return reverse("map_edit", args=[map_id])
    return reverse("map_edit_part", args=[map_id, part])
