"""Which maps must have their rows before others: the lookups between them (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncengine.mapping.computed import rule_paths
from syncengine.mapping.endpoints import SideSchema
from syncengine.mapping.model import Side, TableMap
from syncengine.mapping.paths import parse_path
from syncengine.mapping.schema import (
    EnvironmentSchema,
    TableSchema,
    entity_tables,
)


def referenced_tables(
    table_map: TableMap, side: Side, schema: EnvironmentSchema
) -> frozenset[str]:
    """Tables on `side` that the map's lookup paths and keys lead to."""
    table = schema.table(table_map.table(side)) or TableSchema(
        table_map.table(side), ()
    )
    declared = tuple(entry for entry in table_map.lookups if entry.side is side)
    found = SideSchema(side, schema, table, is_source=True, declarations=declared)
    paths = [column.on(side) for column in table_map.columns]
    paths += [pair.on(side) for pair in table_map.key]
    paths += [path for line in table_map.columns for path in rule_paths(line, side)]
    return frozenset(
        table.casefold() for path in paths if path for table in found.referenced(path)
    )


def lookup_tables(table_map: TableMap, side: Side) -> frozenset[str]:
    """Names that tables on `side` may have which no foreign key leads to: declared
    lookups, and the words of polymorphic paths."""
    names = {entry.table for entry in table_map.lookups if entry.side is side}
    for column in table_map.columns:
        for path in (column.on(side) or "", *rule_paths(column, side)):
            parsed = parse_path(path)
            for word, _ in parsed.choices if parsed else ():
                names.update(entity_tables(word))
    return frozenset(names)


def prerequisites(
    maps: Sequence[TableMap], schemas: Mapping[Side, EnvironmentSchema]
) -> dict[str, tuple[str, ...]]:
    """For each map by name, the maps (of the same list) its lookups lead to; a map
    that refers to its own table does not wait for itself."""
    result: dict[str, tuple[str, ...]] = {}
    for table_map in maps:
        needed = {
            side: referenced_tables(table_map, side, schemas[side]) for side in Side
        }
        result[table_map.name] = tuple(
            other.name
            for other in maps
            if other.name != table_map.name
            and any(
                other.table(side).casefold() in needed[side]
                and other.table(side).casefold() != table_map.table(side).casefold()
                for side in Side
            )
        )
    return result


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """All names, each after those it needs. Inside a cycle the given order stands."""
    done: dict[str, None] = {}
    entered: set[str] = set()
    for start in needs:
        stack = [start]
        while stack:
            name = stack[-1]
            waiting = [
                other
                for other in needs.get(name, ())
                if other in needs and other not in done and other not in entered
            ]
            if name not in entered:
                entered.add(name)
            if waiting:
                stack.append(waiting[0])
                continue
            stack.pop()
            done.setdefault(name)
    return list(done)


def with_prerequisites(
    names: Sequence[str], needs: Mapping[str, Sequence[str]]
) -> list[str]:
    """`names` and everything they need, directly or through others, in order."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(needs.get(name, ()))
    return [name for name in in_order(needs) if name in wanted]
