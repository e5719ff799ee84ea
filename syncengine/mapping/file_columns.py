"""The lines of a map in a configuration file; see `files`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from syncengine.mapping.decisions import ALWAYS, ANY, DecisionRule, DecisionTable
from syncengine.mapping.model import ColumnMap, ColumnMapType
from syncengine.mapping.nodes import NodeReader

Pairs = tuple[tuple[str, str], ...]
_NONE = "none"


def read_column(
    reader: NodeReader, node: yaml.Node, place: str, shared: Mapping[str, Pairs]
) -> ColumnMap:
    """A line; `shared` are the value maps of the file, by name."""
    fields = reader.mapping(
        node,
        place,
        required=("finops", "type", "dataverse"),
        optional=("default", "values", "value_map", "sticky", "decision", "expression"),
    )
    sides = [
        None if path == _NONE else path
        for path in (
            reader.text(fields, "finops", place),
            reader.text(fields, "dataverse", place),
        )
    ]
    if sides == [None, None]:
        reader.problem(place, "A line needs a column on one side at least.", node)
    default = None
    if "default" in fields:
        default = reader.scalar(fields["default"], f"{place}.default")
    values = reader.pairs(fields, "values", place)
    value_map = reader.text(fields, "value_map", place, "") or None
    if value_map is not None and values is None:
        values = shared.get(value_map)
    decision = None
    if "decision" in fields:
        decision = _decision(reader, fields["decision"], f"{place}.decision")
    return ColumnMap(
        finops=sides[0],
        dataverse=sides[1],
        type=reader.choice(fields, "type", place, ColumnMapType, ColumnMapType.BOTH),
        default=default,
        values=values,
        value_map=value_map,
        sticky=reader.flag(fields, "sticky", place),
        decision=decision,
        expression=reader.text(fields, "expression", place, "") or None,
    )


def _decision(reader: NodeReader, node: yaml.Node, place: str) -> DecisionTable:
    fields = reader.mapping(node, place, required=("sources", "rules"))
    table = DecisionTable(
        reader.texts(fields, "sources", place),
        tuple(
            _rule(reader, entry, at)
            for entry, at in reader.items(fields, "rules", place)
        ),
    )
    width = len(table.sources)
    if not width:
        reader.problem(f"{place}.sources", "Name a column of the source.", node)
    for i, rule in enumerate(table.rules):
        if len(rule.when) != width:
            reader.problem(
                f"{place}.rules[{i}].when",
                f"{width} conditions are expected, one for each of the sources, not "
                f"{len(rule.when)}.",
                node,
            )
    return table


def _rule(reader: NodeReader, node: yaml.Node, place: str) -> DecisionRule:
    fields = reader.mapping(
        node, place, required=("when", "then"), optional=("present",)
    )
    then = ""
    if "then" in fields:
        then = reader.required_scalar(fields["then"], f"{place}.then")
    return DecisionRule(
        tuple(
            _condition(reader, entry, at)
            for entry, at in reader.items(fields, "when", place)
        ),
        then,
        reader.texts(fields, "present", place) if "present" in fields else None,
    )


def _condition(reader: NodeReader, node: yaml.Node, place: str) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode):
        if not node.value:
            reader.problem(place, f"Name a value, or write {ANY} for any.", node)
        return tuple(
            reader.required_scalar(entry, f"{place}[{i}]")
            for i, entry in enumerate(node.value)
        )
    value = reader.required_scalar(node, place)
    return ALWAYS if value == ANY else (value,)


def column_content(
    column_map: ColumnMap, shared: Mapping[str, Pairs]
) -> dict[str, Any]:
    """The line as plain data; pairs that the file has under their name stay out."""
    content: dict[str, Any] = {
        "finops": column_map.finops or _NONE,
        "type": str(column_map.type),
        "dataverse": column_map.dataverse or _NONE,
    }
    if column_map.default is not None:
        content["default"] = column_map.default
    name, values = column_map.value_map, column_map.values
    if name is not None:
        content["value_map"] = name
    if values is not None and (name is None or shared.get(name) != values):
        content["values"] = pairs_content(values)
    if column_map.sticky:
        content["sticky"] = True
    if column_map.decision is not None:
        content["decision"] = column_map.decision.content()
    if column_map.expression is not None:
        content["expression"] = column_map.expression
    return content


def pairs_content(values: Sequence[tuple[str, str]]) -> dict[str, str] | list[Any]:
    """Pairs of values as a mapping, or a list where a value comes twice."""
    pairs = dict(values)
    return pairs if len(pairs) == len(values) else [list(pair) for pair in values]
