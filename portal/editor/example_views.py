"""Keeping the examples of a draft."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from portal.editor import examples, services
from portal.editor.content import Edit
from portal.editor.example_context import examples_context, filled_form
from portal.editor.showing import Desk, checked, desk, frame, shown_lines, summary
from portal.editor.views import changing, edit_address, find_map
from portal.pages import page
from portal.refusals import Refusal
from syncengine.errors import EngineError
from syncengine.mapping.model import Direction, MapExample

OUTCOMES = ("expect", "fails", "left_out")


@changing
def change(request: HttpRequest, map_id: int) -> HttpResponse:
    """Add an example from the form or from a present record, or take one away."""
    table_map = find_map(map_id)
    one = desk(request, table_map)
    try:
        edit = _edit(one, request.POST)
        services.change(table_map, edit, "examples", user=request.user)  # type: ignore[arg-type]
    except Refusal as caught:
        return _again(request, one, caught)
    except EngineError as error:
        return _again(request, one, Refusal(error.message, code=error.code))
    messages.success(request, "The examples are kept in the draft.")
    return redirect(edit_address(map_id, "examples"))


def _again(request: HttpRequest, one: Desk, refused: Refusal) -> HttpResponse:
    _, found = checked(one)
    lines = shown_lines(one, found)
    context = {
        **frame(one, "examples"),
        "checked": found,
        "summary": summary(one, lines, found),
        **examples_context(request, one),
        "form": filled_form(request.POST),
        "refused": refused,
    }
    return page(
        request,
        "portal/editor/examples.html",
        context,
        title=f"{one.table_map.name}: edit",
        status=409,
    )


def _edit(one: Desk, fields: Mapping[str, str]) -> Edit:
    what = fields.get("what", "")
    if what == "remove":
        number = fields.get("number", "")
        return examples.remove_example(int(number) if number.isdecimal() else -1)
    direction = fields.get("direction", "")
    if direction not in list(Direction):
        raise Refusal("Choose the direction of the example.")
    way = Direction(direction)
    if what == "record":
        key = fields.get("key", "").strip()
        if not key:
            raise Refusal("Say the key of a record.")
        definition = one.draft.definition
        made = examples.from_record(one.table_map, definition, way, key)
        return examples.add_example(made)
    return examples.add_example(_example(fields, way))


def _example(fields: Mapping[str, str], way: Direction) -> MapExample:
    name = " ".join(fields.get("name", "").split())
    if not name or len(name) > examples.LONGEST_NAME:
        raise Refusal(f"Give it a name of at most {examples.LONGEST_NAME} characters.")
    outcome = fields.get("outcome", "")
    given = examples.read_values(fields.get("given", ""), "Given")
    expect = examples.read_values(fields.get("expect", ""), "Expected")
    fails = fields.get("fails", "").strip()
    reasons = []
    if not given:
        reasons.append("Give a column of the row at least.")
    if outcome == "expect" and not expect:
        reasons.append("Say what is expected, a column at least.")
    if outcome == "fails" and not fails:
        reasons.append("Say the code of the failure, like value_not_in_map.")
    if outcome not in OUTCOMES:
        reasons.append("Say what is to come of it.")
    if reasons:
        raise Refusal("The example was not kept.", reasons=reasons)
    return MapExample(
        name=name,
        direction=way,
        given=given,
        expect=expect if outcome == "expect" else (),
        fails=fails if outcome == "fails" else "",
        left_out=outcome == "left_out",
    )
