"""Writes table maps as the original product's JSON; see `product_json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from syncengine.mapping.file_examples import example_content
from syncengine.mapping.json_nodes import Leftover
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    Direction,
    OnError,
    OnFilterExit,
    TableMap,
)

OURS = "dualWritePortal"
NONE = "none"
TO_DATAVERSE, TO_FINOPS, BOTH = 1, 2, 3
DEFAULT, VALUE_MAP = "Default", "ValueMap"
TYPES = {
    (TO_DATAVERSE, False): ColumnMapType.TO_DATAVERSE,
    (TO_FINOPS, False): ColumnMapType.TO_FINOPS,
    (BOTH, False): ColumnMapType.BOTH,
    (TO_DATAVERSE, True): ColumnMapType.TO_DATAVERSE_TRANSFORM,
    (TO_FINOPS, True): ColumnMapType.TO_FINOPS_TRANSFORM,
    (BOTH, True): ColumnMapType.BOTH_TRANSFORM,
}


def direction_code(kind: ColumnMapType) -> int:
    """The number the original product gives a direction."""
    ways = [kind.flows(way) for way in Direction]
    return BOTH if all(ways) else TO_DATAVERSE if ways[0] else TO_FINOPS


def dump_product_map(table_map: TableMap) -> str:
    """The map as JSON text; `parse_product_map` gives the same map back."""
    return dump_product_maps([table_map])


def dump_product_maps(table_maps: Sequence[TableMap]) -> str:
    """Maps as JSON text: one as an object, several as a list."""
    documents = [product_document(table_map) for table_map in table_maps]
    content = documents[0] if len(documents) == 1 else documents
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def product_document(table_map: TableMap) -> dict[str, Any]:
    """The map as plain data in the original product's shape."""
    return {
        "name": table_map.name,
        "displayName": table_map.name,
        "author": table_map.publisher,
        "version": table_map.version,
        "leftEnvironmentType": "AX",
        "centerEnvironmentType": "CRM",
        "legs": [
            {
                "sourceEnvironmentType": "AX",
                "sourceSchema": table_map.finops_table,
                "sourceFilter": table_map.finops_filter,
                "destinationEnvironmentType": "CRM",
                "destinationSchema": table_map.dataverse_table,
                "reversedSourceFilter": table_map.dataverse_filter,
                "fieldMappings": [_field(line) for line in table_map.columns],
            }
        ],
        OURS: {
            "key": [[pair.finops, pair.dataverse] for pair in table_map.key],
            "conflict": table_map.conflict.value,
            "onError": table_map.on_error.value,
            "onFilterExit": table_map.on_filter_exit.value,
            "lookups": [
                {
                    "side": lookup.side.value,
                    "column": lookup.column,
                    "table": lookup.table,
                    "reference": lookup.reference,
                }
                for lookup in table_map.lookups
            ],
        }
        | _examples(table_map),
    }


def _examples(table_map: TableMap) -> dict[str, Any]:
    made = [example_content(example) for example in table_map.examples]
    return {"examples": made} if made else {}


def _field(line: ColumnMap) -> dict[str, Any]:
    transforms: list[dict[str, Any]] = []
    ours: dict[str, Any] = {}
    if line.values is not None:
        first: dict[str, str] = {}
        for left, right in line.values:
            first.setdefault(left, right)
        transforms.append({"transformType": VALUE_MAP, "valueMap": first})
        if len(first) < len(line.values):
            ours["values"] = [list(pair) for pair in line.values]
    if line.default is not None:
        transforms.append({"transformType": DEFAULT, "defaultValue": line.default})
    if line.value_map is not None:
        ours["valueMap"] = line.value_map
    if line.sticky:
        ours["sticky"] = True
    if line.decision is not None:
        ours["decision"] = line.decision.content()
    if line.expression is not None:
        ours["expression"] = line.expression
    code = direction_code(line.type)
    if TYPES[code, bool(transforms)] != line.type:
        ours["type"] = line.type.value
    content: dict[str, Any] = {
        "sourceField": line.finops or NONE,
        "destinationField": line.dataverse or NONE,
        "syncDirection": code,
        "valueTransforms": transforms,
    }
    return content | ({OURS: ours} if ours else {})


def beyond_product(table_map: TableMap) -> tuple[Leftover, ...]:
    """What the original product would not take over from `dump_product_map`."""
    found: list[Leftover] = []
    document = product_document(table_map)
    for name, reason in (
        ("key", "The original product keeps integration keys apart from maps."),
        ("lookups", "The original product takes lookups from its own tables."),
        ("examples", "The original product's maps have no examples."),
    ):
        if document[OURS].get(name):
            value = json.dumps(document[OURS][name], ensure_ascii=False)
            found.append(Leftover(f"{OURS}.{name}", value, reason))
    for name, value, usual in (
        ("conflict", table_map.conflict, ConflictPolicy.LAST_WRITER_WINS),
        ("onError", table_map.on_error, OnError.TRANSACTION),
        ("onFilterExit", table_map.on_filter_exit, OnFilterExit.LEAVE),
    ):
        if value is not usual:
            reason = "The original product has no such setting."
            found.append(Leftover(f"{OURS}.{name}", value.value, reason))
    for i, field in enumerate(document["legs"][0]["fieldMappings"]):
        for name, reason in (
            ("values", "There a value comes once in a value map; the first is kept."),
            ("type", "There a column is transformed when it has a transform."),
            ("valueMap", "There value maps have no names; its pairs are carried."),
            ("sticky", "There a true is overwritten by false like any value."),
            ("decision", "The original product has no decision tables."),
            ("expression", "The original product has no expressions."),
        ):
            if value := field.get(OURS, {}).get(name):
                place = f"legs[0].fieldMappings[{i}].{OURS}.{name}"
                text = json.dumps(value, ensure_ascii=False)
                found.append(Leftover(place, text, reason))
    return tuple(found)
