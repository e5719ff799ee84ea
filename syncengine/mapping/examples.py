"""Running a map's examples: a given row against what the map makes of it (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncengine.errors import RecordError
from syncengine.mapping.compiled import CompiledLeg, Resolved, named_values
from syncengine.mapping.compiler import CompilationError, compile_leg
from syncengine.mapping.model import (
    Direction,
    LegalEntityPair,
    MapExample,
    Side,
    TableMap,
)
from syncengine.mapping.paths import column_of
from syncengine.mapping.schema import ColumnType, EnvironmentSchema, TypeFamily
from syncengine.mapping.types import equal, parse_literal
from syncengine.mapping.value_tables import BLANK

_LOOKED_UP = "1"
_NEUTRAL = {
    TypeFamily.TEXT: "x",
    TypeFamily.INTEGER: "1",
    TypeFamily.DECIMAL: "1",
    TypeFamily.FLOAT: "1",
    TypeFamily.BOOLEAN: "t",
    TypeFamily.DATE: "2000-01-01",
    TypeFamily.TIMESTAMP: "2000-01-01 00:00:00",
    TypeFamily.TIMESTAMPTZ: "2000-01-01 00:00:00+00",
    TypeFamily.TIME: "00:00:00",
    TypeFamily.UUID: "00000000-0000-0000-0000-000000000000",
    TypeFamily.BINARY: "\\x",
    TypeFamily.JSON: "{}",
}


@dataclass(frozen=True, slots=True)
class Unlike:
    """A column that did not get what was expected."""

    column: str
    expected: str | None
    got: str | None


@dataclass(frozen=True)
class ExampleResult:
    """What became of an example. It holds when nothing is `unlike` and there is no
    `trouble`, a sentence."""

    example: MapExample
    unlike: tuple[Unlike, ...] = ()
    trouble: str = ""

    @property
    def holds(self) -> bool:
        """True when the map does what the example says."""
        return not (self.unlike or self.trouble)


def run_examples(
    table_map: TableMap,
    schemas: Mapping[Side, EnvironmentSchema],
    legal_entities: Sequence[LegalEntityPair],
) -> list[ExampleResult]:
    """Run every example of the map. Columns that an example does not give have no
    value, or any that lets the rest of the row pass where they need one. A map that
    does not fit its tables holds no example."""
    legs: dict[Direction, CompiledLeg | str] = {}
    for way in {example.direction for example in table_map.examples}:
        legs[way] = _leg(table_map, way, schemas, legal_entities)
    return [_run(example, legs[example.direction]) for example in table_map.examples]


def _leg(
    table_map: TableMap,
    way: Direction,
    schemas: Mapping[Side, EnvironmentSchema],
    legal_entities: Sequence[LegalEntityPair],
) -> CompiledLeg | str:
    """The leg, or why there is none."""
    if not table_map.flows(way):
        return "No column flows in this direction."
    source, target = schemas[way.source], schemas[way.target]
    try:
        return compile_leg(table_map, way, source, target, legal_entities)
    except CompilationError as error:
        first = error.findings[0]
        return f"The map does not fit its tables: {first.code} {first.message}"


def _run(example: MapExample, leg: CompiledLeg | str) -> ExampleResult:
    if isinstance(leg, str):
        return ExampleResult(example, trouble=leg)
    try:
        given = _given(example, leg)
        return _outcome(example, leg, given)
    except RecordError as error:
        return ExampleResult(example, trouble=error.message)


def _given(example: MapExample, leg: CompiledLeg) -> dict[str, str | None]:
    """The values in canonical text by path. Raises RecordError for a column that is
    not there and for a value that its column cannot hold."""
    known = {path.casefold(): path for path in leg.source_paths}
    found: dict[str, str | None] = {}
    for path, value in example.given:
        spelled = known.get(path.casefold(), path)
        column = leg.source.column(column_of(spelled))
        if column is None:
            raise RecordError(f"{leg.source.name} has no column {column_of(path)}.")
        if value is not None and "." not in spelled:
            value = parse_literal(value, column.type)
        found[spelled] = value
    company = leg.source_company
    if company is not None and company.path not in found and leg.companies:
        found[company.path] = next(iter(leg.companies))
    return found


def _outcome(
    example: MapExample, leg: CompiledLeg, given: Mapping[str, str | None]
) -> ExampleResult:
    bound = leg.bind(leg.source_paths)
    resolved: Resolved = tuple({} for _ in leg.source_lookups)
    values = dict(given)
    for _ in range(len(leg.source_paths) + 1):
        row = tuple(values.get(path) for path in leg.source_paths)
        if not bound.in_scope(row, resolved):
            said = (
                "" if example.left_out else "The row is left out by filter or company."
            )
            return ExampleResult(example, trouble=said)
        try:
            mapped = bound.map(row, resolved)
        except RecordError as error:
            if _filled(leg, values, error):
                continue
            if example.fails == error.code:
                return ExampleResult(example)
            return ExampleResult(example, trouble=error.message)
        return _compared(example, leg, named_values(leg.slots, mapped))
    return ExampleResult(example, trouble="The row cannot be filled up.")


def _filled(
    leg: CompiledLeg, values: dict[str, str | None], error: RecordError
) -> bool:
    """Give the columns that failed some value where the example gives none."""
    paths = str(error.details.get("source_column") or "").split(", ")
    free = [path for path in paths if path in leg.source_paths and path not in values]
    for path in free:
        values[path] = _neutral(leg, path)
    return any(values[path] is not None for path in free)


def _neutral(leg: CompiledLeg, path: str) -> str | None:
    side = leg.direction.source
    place = 0 if side is Side.FINOPS else 1
    column = leg.source.column(column_of(path))
    for line in leg.table_map.columns:
        if (line.on(side) or "").casefold() != path.casefold() or not line.values:
            continue
        texts = [pair[place] for pair in line.values]
        text = next((t for t in texts if t.strip().casefold() != BLANK), None)
        if text is not None and column is not None and "." not in path:
            return parse_literal(text, column.type)
        return text
    if "." in path or column is None:
        return _LOOKED_UP
    return (
        column.type.labels[0]
        if column.type.labels
        else _NEUTRAL.get(column.type.family)
    )


def _compared(
    example: MapExample, leg: CompiledLeg, made: Mapping[str, str | None]
) -> ExampleResult:
    if example.left_out:
        return ExampleResult(example, trouble="The row is carried over.")
    if example.fails:
        return ExampleResult(example, trouble="The row does not fail.")
    known = {name.casefold(): name for name in made}
    types = {slot.path: slot.type for slot in leg.slots if slot.lookup is None}
    unlike = []
    for column, expected in example.expect:
        name = known.get(column.casefold())
        if name is None:
            raise RecordError(f"The map does not write {column} in this direction.")
        if not _alike(types.get(name), expected, made[name]):
            unlike.append(Unlike(name, expected, made[name]))
    return ExampleResult(example, tuple(unlike))


def _alike(type_: ColumnType | None, expected: str | None, got: str | None) -> bool:
    if expected is None or got is None or type_ is None:
        return expected == got
    return equal(type_, parse_literal(expected, type_), got)
