"""What the page of a draft's examples shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from portal.editor import examples
from portal.editor.showing import Desk
from portal.labels import DIRECTIONS
from portal.refusals import Refusal
from syncengine.mapping.model import Direction


def examples_context(request: HttpRequest, one: Desk) -> dict[str, Any]:
    """The examples with what became of them, and the form for one more."""
    definition = one.draft.definition
    trouble: Refusal | None = None
    try:
        results = examples.run(one.table_map, definition)
    except Refusal as refused:
        results, trouble = [], refused
    shown = [
        {
            "example": example,
            "given": examples.write_values(example.given),
            "expect": examples.write_values(example.expect),
            "result": results[number] if results else None,
        }
        for number, example in enumerate(definition.examples)
    ]
    return {
        "examples": shown,
        "holding": sum(each.holds for each in results),
        "trouble": trouble,
        "form": {"outcome": "expect"},
        "ways": [
            (way.value, DIRECTIONS[way.value])
            for way in Direction
            if definition.flows(way)
        ],
    }


def filled_form(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of the form as they were sent."""
    names = ("name", "direction", "given", "expect", "fails", "outcome", "key")
    return {name: fields.get(name, "") for name in names}
