"""From the fields of the editor to lines of a map (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from portal.maps import shared_values
from syncengine.mapping.model import ColumnMap, ColumnMapType
from syncengine.mapping.value_pairs import read_pairs

Fields = Mapping[str, str]
OWN, NONE = "own", ""
"""What the field `values` says beside `shared NAME`: pairs of the line, or none."""
SHARED = "shared "


def _path(fields: Fields, name: str) -> str | None:
    text = fields.get(name, "").replace("\0", "").strip()
    return text or None


def _type(fields: Fields, otherwise: ColumnMapType) -> ColumnMapType:
    text = fields.get("type", "")
    return ColumnMapType(text) if text in list(ColumnMapType) else otherwise


def line_of(fields: Fields, before: ColumnMap) -> ColumnMap:
    """The line with the columns and the symbol of its row in the grid."""
    return replace(
        before,
        finops=_path(fields, "finops"),
        dataverse=_path(fields, "dataverse"),
        type=_type(fields, before.type),
    )


def new_line(fields: Fields) -> ColumnMap:
    """A line with whatever the fields say of its columns."""
    return ColumnMap(
        _path(fields, "finops"), _path(fields, "dataverse"), ColumnMapType.BOTH
    )


def line_with_rule(
    fields: Fields, before: ColumnMap
) -> tuple[ColumnMap, tuple[str, ...]]:
    """The line with what its panel says makes the value, and why it cannot be used,
    a sentence each."""
    line = replace(
        before,
        default=fields.get("default", "") if "has_default" in fields else None,
        sticky="sticky" in fields,
        expression=fields.get("expression", "").strip() or None,
    )
    wanted = fields.get("values", NONE)
    if wanted == NONE:
        return replace(line, values=None, value_map=None), ()
    if wanted.startswith(SHARED):
        name = wanted.removeprefix(SHARED)
        pairs = shared_values.pairs_of([name]).get(name)
        return replace(line, values=pairs, value_map=name), ()
    text = fields.get("pairs")
    if text is None or not text.strip():
        return replace(line, values=before.values or (), value_map=None), ()
    given = read_pairs(text)
    if given.problems:
        return before, given.problems
    pairs = given.pairs
    if "swap" in fields:
        pairs = tuple((right, left) for left, right in pairs)
    return replace(line, values=pairs, value_map=None), ()
