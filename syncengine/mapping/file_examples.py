"""The examples of a map in a configuration file; see `files`."""

from __future__ import annotations

from typing import Any

import yaml

from syncengine.mapping.model import Direction, MapExample, Values
from syncengine.mapping.nodes import NodeReader


def read_example(reader: NodeReader, node: yaml.Node, place: str) -> MapExample:
    """A row with what the map must make of it: `expect`, `fails` or `left_out`."""
    fields = reader.mapping(
        node,
        place,
        required=("name", "direction", "given"),
        optional=("expect", "fails", "left_out"),
    )
    made = MapExample(
        name=reader.text(fields, "name", place),
        direction=reader.choice(
            fields, "direction", place, Direction, Direction.FINOPS_TO_DATAVERSE
        ),
        given=_values(reader, fields.get("given"), f"{place}.given"),
        expect=_values(reader, fields.get("expect"), f"{place}.expect"),
        fails=reader.text(fields, "fails", place, ""),
        left_out=reader.flag(fields, "left_out", place),
    )
    if sum((bool(made.expect), bool(made.fails), made.left_out)) != 1:
        reader.problem(place, "One of expect, fails and left_out is expected.", node)
    return made


def _values(reader: NodeReader, node: yaml.Node | None, place: str) -> Values:
    if node is None:
        return ()
    if not isinstance(node, yaml.MappingNode):
        reader.problem(place, "Columns with their values are expected here.", node)
        return ()
    return tuple(
        (path, reader.scalar(value, f"{place}.{path}"))
        for key, value in node.value
        for path in [reader.required_scalar(key, place)]
    )


def example_content(example: MapExample) -> dict[str, Any]:
    """The example as plain data."""
    content: dict[str, Any] = {
        "name": example.name,
        "direction": example.direction.value,
        "given": dict(example.given),
    }
    if example.expect:
        content["expect"] = dict(example.expect)
    if example.fails:
        content["fails"] = example.fails
    if example.left_out:
        content["left_out"] = True
    return content
