"""What a column field offers: the columns of a side with types and sample values, and
for references the paths that look them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal.editor.tables import SideTables
from syncengine.mapping.model import Side, TableMap
from syncengine.mapping.paths import parse_path
from syncengine.mapping.schema import Column, TableSchema

SHOWN_SAMPLES = 2
LONGEST_SAMPLE = 24


@dataclass(frozen=True)
class Choice:
    """A path to choose, and what is told beside it."""

    path: str
    hint: str


@dataclass(frozen=True)
class ColumnFacts:
    """A column as the panel of a line shows it. `refers` says where it leads to, and
    `keys` by which columns of that table a row can be looked up."""

    name: str
    type: str
    required: bool
    writable: bool
    samples: Sequence[str]
    table: str = ""
    keys: Sequence[Choice] = ()


def choices(one: SideTables, definition: TableMap, side: Side) -> list[Choice]:
    """All paths a line may name on a side, columns in the table's order."""
    table = one.table(definition.table(side))
    if table is None:
        return []
    found = []
    for column in table.columns:
        found.append(Choice(column.name, _hint(column, table, one)))
        found += _lookups(one, definition, side, table, column.name)
    return found


def _hint(column: Column, table: TableSchema, one: SideTables) -> str:
    told = [column.type.name]
    if column.name in table.primary_key:
        told.append("primary key")
    if column.required:
        told.append("mandatory")
    if not column.writable:
        told.append("read only")
    samples = (one.samples or {}).get(column.name, ())
    if samples:
        shown = ", ".join(map(_short, samples[:SHOWN_SAMPLES]))
        told.append(f"e.g. {shown}")
    return " · ".join(told)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SAMPLE else f"{text[: LONGEST_SAMPLE - 1]}…"


def _targets(
    definition: TableMap, side: Side, table: TableSchema, name: str
) -> list[str]:
    declared = [
        each.table
        for each in definition.lookups
        if each.side is side and each.column.casefold() == name.casefold()
    ]
    if declared:
        return declared
    foreign = table.foreign_key(name)
    return [foreign.table] if foreign else []


def _lookups(
    one: SideTables,
    definition: TableMap,
    side: Side,
    table: TableSchema,
    name: str,
    *,
    every: bool = False,
) -> Iterator[Choice]:
    """Paths that look a reference up by a natural key of its table; with `every`, by
    any column of it, those of natural keys first."""
    for target in _targets(definition, side, table, name):
        referenced = one.table(target)
        if referenced is None:
            continue
        natural = [
            column
            for key in referenced.keys
            if not key.primary
            for column in key.columns
            if not _is_company(one, referenced, column)
        ]
        rest = [c.name for c in referenced.columns] if every else []
        for column_name in dict.fromkeys([*natural, *rest]):
            column = referenced.column(column_name)
            if column is not None:
                hint = f"looks up {referenced.name} by {column.name}"
                yield Choice(f"{name}.{column.name}", f"{hint} · {column.type.name}")


def _is_company(one: SideTables, table: TableSchema, name: str) -> bool:
    rule = one.schema.company_of(table) if one.schema else None
    return rule is not None and rule.column.casefold() == name.casefold()


def facts(
    one: SideTables, definition: TableMap, side: Side, path: str | None
) -> ColumnFacts | None:
    """What is known of the column that a path starts from; None where there is none."""
    table = one.table(definition.table(side))
    parsed = parse_path(path) if path else None
    column = table.column(parsed.column) if table and parsed else None
    if table is None or column is None:
        return None
    targets = _targets(definition, side, table, column.name)
    return ColumnFacts(
        name=column.name,
        type=column.type.name,
        required=column.required,
        writable=column.writable,
        samples=[_short(text) for text in (one.samples or {}).get(column.name, ())],
        table=", ".join(targets),
        keys=list(_lookups(one, definition, side, table, column.name, every=True)),
    )


def unmapped(one: SideTables, definition: TableMap, side: Side) -> list[Choice]:
    """Columns that no line names, mandatory ones first."""
    table = one.table(definition.table(side))
    if table is None:
        return []
    named = set()
    for line in definition.columns:
        parsed = parse_path(line.on(side) or "")
        named.add(parsed.column.casefold() if parsed else "")
    left = [
        column
        for column in table.columns
        if column.name.casefold() not in named
        and not _is_company(one, table, column.name)
    ]
    left.sort(key=lambda column: not column.required)
    return [Choice(column.name, _hint(column, table, one)) for column in left]
