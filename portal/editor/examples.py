"""The examples of a map: run on a draft or a version, and kept in drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from portal.editor.content import Draft, Edit, set_values
from portal.editor.tables import tables_of
from portal.maps.models import TableMap
from portal.refusals import NotFound, Refusal
from portal.runs.preview import preview_map
from syncengine.mapping.examples import ExampleResult, run_examples
from syncengine.mapping.model import Direction, MapExample, Side, Values
from syncengine.mapping.model import TableMap as Definition

LONGEST_NAME = 100


def run(table_map: TableMap, definition: Definition) -> list[ExampleResult]:
    """Run every example of a definition of the map. Raises Refusal where a system
    cannot be asked for its tables."""
    if not definition.examples:
        return []
    tables = tables_of(table_map.connection_set, definition)
    schemas = {side: one.schema for side, one in tables.items() if one.schema}
    if len(schemas) < len(Side):
        troubles = [one.trouble for one in tables.values() if one.trouble]
        raise Refusal(
            "The examples cannot be run now.", code="not_reachable", reasons=troubles
        )
    pairs = table_map.connection_set.legal_entity_pairs()
    return run_examples(definition, schemas, pairs)


def document(results: Sequence[ExampleResult]) -> list[dict[str, Any]]:
    """Results as plain data."""
    return [
        {
            "name": one.example.name,
            "direction": one.example.direction.value,
            "holds": one.holds,
            "trouble": one.trouble,
            "unlike": [
                {"column": each.column, "expected": each.expected, "got": each.got}
                for each in one.unlike
            ],
        }
        for one in results
    ]


def add_example(example: MapExample) -> Edit:
    """Add an example; one of the same name is replaced."""

    def edit(draft: Draft) -> Draft:
        examples = draft.definition.examples
        if any(one.name == example.name for one in examples):
            made = tuple(example if o.name == example.name else o for o in examples)
        else:
            made = (*examples, example)
        return set_values(examples=made)(draft)

    return edit


def remove_example(number: int) -> Edit:
    """Take an example away."""

    def edit(draft: Draft) -> Draft:
        examples = draft.definition.examples
        if not 0 <= number < len(examples):
            raise NotFound("This example is not there any more.")
        left = examples[:number] + examples[number + 1 :]
        return set_values(examples=left)(draft)

    return edit


def read_values(text: str, what: str) -> Values:
    """A value a line, `column = value`; `null` is no value. Refused with every line
    that cannot be read."""
    found: dict[str, str | None] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        path, sign, value = line.partition("=")
        if not sign or not path.strip():
            problems.append(f"{what}, line {number}: write column = value.")
            continue
        said = value.strip()
        quoted = len(said) > 1 and said[0] == said[-1] == '"'
        found[path.strip()] = said[1:-1] if quoted else None if said == "null" else said
    if problems:
        raise Refusal("The example was not kept.", reasons=problems)
    return tuple(found.items())


def write_values(values: Values) -> str:
    """The lines that `read_values` gives back."""
    return "".join(f"{path} = {_written(value)}\n" for path, value in values)


def _written(value: str | None) -> str:
    if value is None:
        return "null"
    plain = value == value.strip() and value != "null" and value[:1] != '"'
    return value if plain and value else f'"{value}"'


def from_record(
    table_map: TableMap, definition: Definition, direction: Direction, key: str
) -> MapExample:
    """An example that holds now: a present record, and what the map makes of it.
    Raises Refusal, NotFound, or what `preview_map` raises."""
    found = preview_map(table_map, key, direction=direction, draft=definition)
    (record, *_) = found.records[direction.value]
    made = MapExample(
        name=f"as {key}"[:LONGEST_NAME],
        direction=direction,
        given=tuple(record.source.items()),
    )
    if record.error_code:
        return replace(made, fails=record.error_code)
    return replace(made, expect=tuple((c.column, c.result) for c in record.columns))
