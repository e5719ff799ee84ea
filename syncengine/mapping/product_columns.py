"""Reads the lines of a map from the original product's JSON (`fieldMappings`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncengine.mapping.decisions import ALWAYS, ANY, DecisionRule, DecisionTable
from syncengine.mapping.json_nodes import JsonReader, Members
from syncengine.mapping.model import ColumnMap, ColumnMapType
from syncengine.mapping.product_writing import (
    DEFAULT,
    NONE,
    OURS,
    TYPES,
    VALUE_MAP,
    direction_code,
)

_Pairs = tuple[tuple[str, str], ...]
_CODES = {"1": 1, "2": 2, "3": 3}
_LINE_OUT = "The line is left out: the portal has no such transform."
_LOOKUP = (
    "Where a reference leads is read from the database's foreign keys, or declared "
    "as a lookup."
)
_GENERATED = "The portal makes no lines by itself."
_NO_PLACE = "The portal's maps have no place for it."


def read_columns(
    reader: JsonReader, lines: Iterable[tuple[Any, str]]
) -> tuple[ColumnMap, ...]:
    """The lines that can be carried, in their order."""
    made = [_line(reader, value, place) for value, place in lines]
    return tuple(line for line in made if line is not None)


def _line(reader: JsonReader, value: Any, place: str) -> ColumnMap | None:
    members = reader.object(value, place)
    ends = [_end(members.text(name)) for name in ("sourceField", "destinationField")]
    if ends == [None, None]:
        reader.problem(place, "A line needs a column on one side at least.")
    code = _code(reader, members)
    transforms = _Transforms(reader, members)
    ours = members.object(OURS)
    members.leave(_LOOKUP, "destinationLookupFieldRelatedEntity")
    members.leave(_GENERATED, "isSystemGenerated")
    members.leave(_NO_PLACE)
    kind = _own_type(reader, ours, code) or TYPES[code, transforms.any]
    values = _own_values(reader, ours, transforms.values)
    decision = (
        _decision(reader, ours.object("decision")) if "decision" in ours else None
    )
    rules = (ours.text("valueMap"), ours.flag("sticky"), ours.text("expression"))
    ours.leave(_NO_PLACE)
    if transforms.unknown:
        reader.leftover(place, value, _LINE_OUT)
        return None
    return ColumnMap(
        ends[0],
        ends[1],
        kind,
        transforms.default,
        values,
        value_map=rules[0] or None,
        sticky=rules[1],
        decision=decision,
        expression=rules[2] or None,
    )


def _end(path: str) -> str | None:
    return None if path.casefold() in ("", NONE) else path


def _code(reader: JsonReader, members: Members) -> int:
    text = members.text("syncDirection").strip()
    if text not in _CODES:
        reader.problem(
            members.at("syncDirection"),
            f"{text or 'Nothing'} is not 1 (to Dataverse), 2 (to finance and "
            "operations) or 3 (both).",
        )
    return _CODES.get(text, 3)


class _Transforms:
    """What the transforms of a line say together; `unknown` when they say something
    that a line of ours cannot."""

    def __init__(self, reader: JsonReader, members: Members) -> None:
        self._reader = reader
        self.default: str | None = None
        self.values: _Pairs | None = None
        self.unknown = self.any = False
        for value, place in members.items("valueTransforms"):
            self.any = True
            self._read(reader.object(value, place))

    def _read(self, transform: Members) -> None:
        kind = transform.text("transformType").casefold()
        if kind == VALUE_MAP.casefold():
            self._read_values(transform)
        elif kind == DEFAULT.casefold():
            transform.leave(_NO_PLACE, "valueMap")
        else:
            self.unknown = True
            return
        if "defaultValue" in transform:
            self.unknown |= self.default is not None
            self.default = transform.text("defaultValue")
        transform.leave(
            "The portal never makes values up on the other side.",
            "createValuesOnDestination",
        )
        transform.leave(_NO_PLACE)

    def _read_values(self, transform: Members) -> None:
        if "valueMap" not in transform:
            self.unknown = True
            return
        self.unknown |= self.values is not None
        at = transform.at("valueMap")
        pairs = transform.object("valueMap")
        self.values = tuple(
            (self._reader.text(left, at), pairs.text(left)) for left in pairs.names()
        )


def _own_type(reader: JsonReader, ours: Members, code: int) -> ColumnMapType | None:
    text = ours.text("type")
    if not text:
        return None
    for kind in ColumnMapType:
        if kind.value == text and direction_code(kind) == code:
            return kind
    reader.problem(ours.at("type"), f"{text} does not agree with syncDirection {code}.")
    return None


def _own_values(
    reader: JsonReader, ours: Members, values: _Pairs | None
) -> _Pairs | None:
    """The pairs in full where a value comes twice; they begin as the value map does."""
    if "values" not in ours:
        return values
    full = tuple(
        read_pair(reader, entry, place) for entry, place in ours.items("values")
    )
    first: dict[str, str] = {}
    for left, right in full:
        first.setdefault(left, right)
    if first != dict(values or ()):
        reader.problem(
            ours.at("values"), "These pairs do not agree with the line's valueMap."
        )
    return full


def _decision(reader: JsonReader, members: Members) -> DecisionTable:
    sources = tuple(reader.text(*entry) for entry in members.items("sources"))
    rules = []
    for value, place in members.items("rules"):
        rule = reader.object(value, place)
        when = tuple(_condition(reader, entry, at) for entry, at in rule.items("when"))
        if len(when) != len(sources):
            reader.problem(
                rule.at("when"), f"{len(sources)} conditions are expected here."
            )
        present = None
        if "present" in rule:
            present = tuple(reader.text(*entry) for entry in rule.items("present"))
        rules.append(DecisionRule(when, rule.text("then"), present))
        rule.leave(_NO_PLACE)
    members.leave(_NO_PLACE)
    return DecisionTable(sources, tuple(rules))


def _condition(reader: JsonReader, value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(reader.text(*entry) for entry in reader.items(value, place))
    text = reader.text(value, place)
    return ALWAYS if text == ANY else (text,)


def read_pair(reader: JsonReader, value: Any, place: str) -> tuple[str, str]:
    """A list of two texts: finops, dataverse."""
    if not isinstance(value, list) or len(value) != 2:
        reader.problem(place, "A pair [finops, dataverse] is expected here.")
        return "", ""
    return reader.text(value[0], place), reader.text(value[1], place)
