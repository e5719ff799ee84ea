"""Maps through both kinds of files and back, and what only our own readers keep."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import given, settings

from syncengine import catalog
from syncengine.mapping.comparison import compare_maps
from syncengine.mapping.files import Document, MapFile, dump_document, parse_document
from syncengine.mapping.model import ColumnMap, TableMap
from syncengine.mapping.product_json import (
    beyond_product,
    dump_product_map,
    dump_product_maps,
    parse_product_map,
    parse_product_maps,
)
from syncengine.mapping.product_writing import OURS
from tests.mapping.test_files import table_maps
from tests.mapping.test_product_json import keepable
from tests.properties import examples

READY_MADE = [catalog.table_map(entry) for entry in catalog.entries()]


def through_yaml(table_map: TableMap) -> TableMap:
    text = dump_document(Document(maps=(MapFile("contoso", table_map),)))
    (entry,) = parse_document(text).maps
    return entry.table_map


def without_ours(value: Any) -> Any:
    """A document as the original product would keep it."""
    if isinstance(value, list):
        return [without_ours(each) for each in value]
    if isinstance(value, dict):
        return {
            name: without_ours(each) for name, each in value.items() if name != OURS
        }
    return value


def test_all_ready_made_maps_survive_yaml_after_json_in_one_file() -> None:
    found = parse_product_maps(dump_product_maps(READY_MADE))
    maps = tuple(MapFile("contoso", each.table_map) for each in found)
    document = Document(maps=maps)
    back = parse_document(dump_document(document))
    assert [entry.table_map for entry in back.maps] == READY_MADE


def test_the_original_product_keeps_every_line_of_every_ready_made_map() -> None:
    document = without_ours(json.loads(dump_product_maps(READY_MADE)))
    kept = parse_product_maps(json.dumps(document))
    for before, found in zip(READY_MADE, kept, strict=True):
        assert not found.complete
        assert not found.leftovers
        assert replace(found.table_map, key=before.key) == before
        assert [each.place for each in beyond_product(before)] == [f"{OURS}.key"]


@settings(deadline=None, max_examples=examples(60))
@given(table_maps().filter(keepable))
def test_a_random_map_survives_one_format_after_the_other(
    table_map: TableMap,
) -> None:
    json_first = through_yaml(parse_product_map(dump_product_map(table_map)).table_map)
    yaml_first = parse_product_map(dump_product_map(through_yaml(table_map))).table_map
    whole = through_yaml(table_map)
    assert json_first == yaml_first == whole
    # A file may name a key without a line for it; nothing else is added on the way.
    assert compare_maps(replace(table_map, columns=whole.columns), whole).equal


@settings(deadline=None, max_examples=examples(60))
@given(table_maps().filter(keepable))
def test_whatever_the_original_product_would_lose_is_listed(
    table_map: TableMap,
) -> None:
    document = without_ours(json.loads(dump_product_map(table_map)))
    kept = parse_product_map(json.dumps(document)).table_map
    listed = {each.place for each in beyond_product(table_map)}
    lost = {
        f"{OURS}.{name}"
        for name, field in (
            ("key", "key"),
            ("lookups", "lookups"),
            ("conflict", "conflict"),
            ("onError", "on_error"),
            ("onFilterExit", "on_filter_exit"),
        )
        if getattr(kept, field) != getattr(table_map, field)
    }
    members = {"value_map": "valueMap"}
    for number, (before, after) in enumerate(
        zip(table_map.columns, kept.columns, strict=True)
    ):
        lost |= {
            f"legs[0].fieldMappings[{number}].{OURS}.{members.get(name, name)}"
            for each in fields(ColumnMap)
            if getattr(before, name := each.name) != getattr(after, name)
        }
    assert lost <= listed
    assert replace(kept, columns=()) == replace(
        table_map,
        columns=(),
        key=kept.key,
        lookups=(),
        conflict=kept.conflict,
        on_error=kept.on_error,
        on_filter_exit=kept.on_filter_exit,
    )
