"""The grid of a decision table: what is typed, and its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.editor import services
from portal.editor.content import change_line, with_symbol
from portal.editor.decision_form import Grid, step, with_table, without_table
from portal.editor.line_panel import panel_context
from portal.editor.showing import checked, desk, frame, shown_lines, summary
from portal.editor.views import changing, find_map, refused_answer, regridded
from portal.refusals import Refusal
from syncengine.mapping.model import ColumnMap, Side

_WHOLE = ("begin", "end")
"""Steps after which the line looks otherwise as well."""


@changing
def line_decision(request: HttpRequest, map_id: int, line_id: int) -> HttpResponse:
    """Keep the rules as they stand in the grid, after the step that `do` asks for:
    `begin` (for `side`), `end`, or one of a rule, a column or pasted cells."""
    table_map = find_map(map_id)
    do = request.POST.get("do", "")
    grid: Grid | None = None

    def edit(draft: Any) -> Any:
        nonlocal grid
        before = draft.line(line_id)
        if do in _WHOLE:
            after = _with_or_without(before, do, request.POST.get("side", ""))
        elif before.decision is None:
            raise Refusal("This line has no decision table any more.")
        else:
            grid = step(request.POST)
            after = replace(before, decision=grid.table)
        return change_line(line_id, with_symbol(before, after))(draft)

    subject = f"decision {line_id} {do}"
    try:
        services.change(table_map, edit, subject, user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    if do in _WHOLE:
        return regridded(request, table_map, f"rule-{line_id}")
    one = desk(request, table_map)
    _, found = checked(one)
    lines = shown_lines(one, found)
    context = {
        "lines": lines,
        "checked": found,
        "summary": summary(one, lines, found),
        **frame(one, "columns"),
        **panel_context(one, line_id, grid),
        "anew": do != "",
    }
    return render(request, "portal/editor/_decision_answer.html", context)


def _with_or_without(line: ColumnMap, do: str, side: str) -> ColumnMap:
    if do == "end":
        return without_table(line)
    target = Side(side) if side in list(Side) else Side.DATAVERSE
    return with_table(line, target)
