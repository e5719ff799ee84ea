"""The further pages of the editor: filters, key and settings, preview, text, and
publishing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.editor import examples, services
from portal.editor.captured import captured_deletes, captured_keys, without
from portal.editor.content import (
    Draft,
    Edit,
    change_line,
    declare_lookup,
    forget_lookup,
    move_key,
    remove_key,
    replace_all,
    set_values,
)
from portal.editor.example_context import examples_context
from portal.editor.showing import (
    Desk,
    checked,
    desk,
    frame,
    shown_lines,
    summary,
)
from portal.editor.texts import FORMATS, read_text, write_text
from portal.editor.trying import MOST, SAMPLE, try_draft
from portal.editor.views import changing, edit_address, find_map, refused_answer
from portal.maps.conversion import to_engine
from portal.maps.filter_trial import try_filters, untried_filters
from portal.maps.models import (
    ConflictPolicyChoices,
    OnErrorChoices,
    OnFilterExitChoices,
    TableMap,
)
from portal.maps.shown_changes import shown
from portal.overview import preview_tab
from portal.overview.map_filters import filter_card
from portal.pages import page
from portal.refusals import Refusal
from syncengine.mapping.comparison import compare_maps
from syncengine.mapping.model import (
    ConflictPolicy,
    Direction,
    LookupDeclaration,
    OnError,
    OnFilterExit,
    Side,
)

SETTINGS = {
    "conflict": (ConflictPolicy, ConflictPolicyChoices),
    "on_error": (OnError, OnErrorChoices),
    "on_filter_exit": (OnFilterExit, OnFilterExitChoices),
}


@needs(Right.SEE, of=TableMap, all_companies=True)
@require_safe
def part(request: HttpRequest, map_id: int, part: str) -> HttpResponse:
    """A page of the editor beside the grid."""
    contexts = {
        "filters": _filters,
        "settings": _settings,
        "preview": _preview,
        "try": _try,
        "examples": examples_context,
        "text": _text,
    }
    if part not in contexts:
        raise Http404("The editor has no such page.")
    one = desk(request, find_map(map_id))
    return page(
        request,
        f"portal/editor/{part}.html",
        _head(one, part) | contexts[part](request, one),
        title=f"{one.table_map.name}: edit",
    )


def _head(one: Desk, part: str) -> dict[str, Any]:
    _, found = checked(one)
    lines = shown_lines(one, found)
    told = {"checked": found, "summary": summary(one, lines, found)}
    return told | frame(one, part)


# -- filters ------------------------------------------------------------------------


def _filters(request: HttpRequest, one: Desk) -> dict[str, Any]:
    trial = untried_filters(one.table_map, draft=one.draft.definition)
    cards = [filter_card(side, tried=False) for side in trial.sides]
    return {"filters": {"cards": cards}}


@changing
def filters_change(request: HttpRequest, map_id: int) -> HttpResponse:
    """Keep the filters as they are typed, and say what is wrong with them."""
    table_map = find_map(map_id)
    values = {
        f"{side.value}_filter": request.POST[side.value].replace("\r\n", "\n")
        for side in Side
        if side.value in request.POST
    }
    try:
        services.change(table_map, set_values(**values), "filters", user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        return refused_answer(request, refused)
    one = desk(request, table_map)
    response = render(
        request, "portal/editor/_filters_said.html", _head(one, "filters")
    )
    response.headers["HX-Trigger"] = "draft-filters"
    return response


@needs(Right.SEE, of=TableMap, all_companies=True)
@require_safe
def filters_tried(request: HttpRequest, map_id: int) -> HttpResponse:
    """Count and show rows by the filters of the draft."""
    one = desk(request, find_map(map_id))
    trial = try_filters(one.table_map, draft=one.draft.definition)
    cards = [filter_card(side, tried=True) for side in trial.sides]
    context = {"filters": {"cards": cards}, "row": {"map": one.table_map}}
    return render(request, "portal/_filter_results.html", context)


# -- key and settings ---------------------------------------------------------------


def _settings(request: HttpRequest, one: Desk) -> dict[str, Any]:
    tables, _ = checked(one)
    definition = one.draft.definition
    unique = []
    for side in Side:
        table = tables[side].table(definition.table(side))
        unique.append((side.value, table.keys if table else ()))
    return {
        "keyless": [
            (number, line)
            for number, line in one.draft.lines
            if line.finops and line.dataverse and not one.draft.is_key(line)
        ],
        "unique": unique,
        "settings": [
            (name, label, kinds.choices, getattr(definition, name).value)
            for (name, (_, kinds)), label in zip(
                SETTINGS.items(),
                (
                    "When both sides change a column",
                    "A refused record holds back",
                    "A row that stops matching the filter",
                ),
                strict=True,
            )
        ],
        "sides": [
            (side.value, [c.name for c in table.columns] if table else [])
            for side in Side
            for table in [tables[side].table(definition.table(side))]
        ],
    }


@changing
def settings_change(request: HttpRequest, map_id: int) -> HttpResponse:
    """Change a setting, the order of the key, or the declared lookups; then show the
    page anew."""
    table_map = find_map(map_id)
    fields = request.POST
    try:
        services.change(
            table_map, _settings_edit(fields), "settings", user=request.user
        )  # type: ignore[arg-type]
    except Refusal as refused:
        messages.error(request, refused.message)
    return redirect(edit_address(map_id, "settings"))


def _settings_edit(fields: Any) -> Any:
    what = fields.get("what", "")
    number = int(fields["number"]) if fields.get("number", "").isdecimal() else -1
    if what == "key_up":
        return move_key(number, -1)
    if what == "key_down":
        return move_key(number, 1)
    if what == "key_add":
        return _into_key(number)
    if what == "key_remove":
        return remove_key(number)
    if what == "lookup_forget":
        return forget_lookup(number)
    if what == "lookup_declare":
        return declare_lookup(_declaration(fields))
    values = {}
    for name, (kind, _) in SETTINGS.items():
        if fields.get(name) in list(kind):
            values[name] = kind(fields[name])
    return set_values(**values)


def _into_key(line_id: int) -> Edit:
    def edit(draft: Draft) -> Draft:
        return change_line(line_id, draft.line(line_id), key=True)(draft)

    return edit


def _declaration(fields: Any) -> LookupDeclaration:
    side, _, column = fields.get("column", "").partition(" ")
    texts = [fields.get(name, "").strip() for name in ("table", "reference")]
    if side not in list(Side) or not column or not all(texts):
        raise Refusal("Say the column, the table it refers to, and the column there.")
    return LookupDeclaration(Side(side), column, *texts)


# -- preview and text ---------------------------------------------------------------


def _preview(request: HttpRequest, one: Desk) -> dict[str, Any]:
    address = edit_address(one.table_map.pk, "preview")
    draft = one.draft.definition
    return {"address": address, **preview_tab.context(request, one.table_map, draft)}


def _text(request: HttpRequest, one: Desk) -> dict[str, Any]:
    wanted = request.GET.get("format", "yaml")
    kind = wanted if wanted in FORMATS else "yaml"
    return {
        "format": kind,
        "formats": FORMATS.items(),
        "text": write_text(one.table_map, one.draft.definition, kind),
    }


@changing
def text_change(request: HttpRequest, map_id: int) -> HttpResponse:
    """Take the draft from a text; what is wrong with it is shown with the text."""
    table_map = find_map(map_id)
    kind = "json" if request.POST.get("format") == "json" else "yaml"
    text = request.POST.get("text", "")
    try:
        one = desk(request, table_map)
        wanted = read_text(table_map, one.draft.definition, text, kind)
        services.change(table_map, replace_all(wanted), "text", user=request.user)  # type: ignore[arg-type]
    except Refusal as refused:
        one = desk(request, table_map)
        context = _head(one, "text") | _text(request, one)
        context |= {"text": text, "format": kind, "refused": refused}
        return page(
            request,
            "portal/editor/text.html",
            context,
            title=f"{table_map.name}: edit",
            status=409,
        )
    messages.success(request, "The draft says what the text says.")
    return redirect(f"{edit_address(map_id, 'text')}?format={kind}")


# -- trying -------------------------------------------------------------------------


def _try(request: HttpRequest, one: Desk) -> dict[str, Any]:
    waiting = []
    for direction in Direction:
        if one.draft.definition.flows(direction):
            deletes = captured_deletes(one.table_map, direction)
            keys = without(captured_keys(one.table_map, direction), deletes)
            records = sum(len(each) for each in keys.values())
            gone = sum(each.deleted for each in deletes)
            waiting.append((direction.value, records, gone))
    return {"sample": SAMPLE, "most": MOST, "waiting": waiting}


@changing
def try_run(request: HttpRequest, map_id: int) -> HttpResponse:
    """Try the draft on records of both sides; nothing stays written."""
    one = desk(request, find_map(map_id))
    asked = request.POST.get("sample", "")
    sample = int(asked) if asked.isdecimal() and len(asked) < 6 else SAMPLE
    found = try_draft(one.table_map, one.draft.definition, sample=sample)
    return page(
        request,
        "portal/editor/try.html",
        _head(one, "try") | _try(request, one) | {"trial": found, "sample": sample},
        title=f"{one.table_map.name}: edit",
    )


# -- publishing ---------------------------------------------------------------------


@needs(Right.EDIT_MAPS, of=TableMap)
@require_http_methods(["GET", "HEAD", "POST"])
def publish(request: HttpRequest, map_id: int) -> HttpResponse:
    """Show what the draft changes, ask for publisher and version, and make it the
    map's version."""
    table_map = find_map(map_id)
    one = desk(request, table_map)
    if one.row is None:
        return redirect("map_edit", map_id=map_id)
    present = table_map.version
    publisher = request.POST.get("publisher", present.publisher if present else "")
    version = request.POST.get("version", "")
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            made = services.publish(
                table_map,
                publisher=publisher,
                version=version,
                user=request.user,  # type: ignore[arg-type]
            )
        except Refusal as caught:
            refused = caught
        else:
            messages.success(
                request,
                f"{table_map.name} is at version {made} now. It goes on with it when "
                "it is run.",
            )
            return redirect(reverse("map_page", args=[map_id]))
    before = to_engine(present) if present else one.draft.definition
    after = replace(
        one.draft.definition, publisher=before.publisher, version=before.version
    )
    context = {
        "failing": _failing_examples(one),
        "comparison": shown(compare_maps(before, after)),
        "present": present,
        "publisher": publisher,
        "version": version or services.offered_number(table_map, publisher.strip()),
        "refused": refused,
    }
    return page(
        request,
        "portal/editor/publish.html",
        _head(one, "publish") | context,
        title=f"Publish the draft of {table_map.name}",
        status=409 if refused else 200,
    )


def _failing_examples(one: Desk) -> list[str]:
    """The names of examples that do not hold, as far as they can be run."""
    try:
        found = examples.run(one.table_map, one.draft.definition)
    except Refusal:
        return []
    return [each.example.name for each in found if not each.holds]
