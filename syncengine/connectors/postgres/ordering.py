"""The order of a batch: parents first; deletes last, children first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from syncengine.connectors.base import Operation, OperationKind
from syncengine.connectors.postgres.batch import Group
from syncengine.mapping.compiled import CompiledLeg


def group_operations(operations: Sequence[Operation], *, strict: bool) -> list[Group]:
    """Group operations for set-based writing.

    With `strict` the given order is kept: only neighbours of one leg and kind are
    grouped. Otherwise upserts come first in the order of the references between
    their tables, then deletes in the opposite order.
    """
    if strict:
        return _neighbours(operations)
    upserts: dict[int, Group] = {}
    deletes: dict[int, Group] = {}
    for operation in operations:
        groups = upserts if operation.kind is OperationKind.UPSERT else deletes
        group = groups.get(id(operation.leg))
        if group is None:
            group = Group(operation.leg, operation.kind)
            groups[id(operation.leg)] = group
        group.operations.append(operation)
    if len(upserts) + len(deletes) == 1:
        return [*upserts.values(), *deletes.values()]
    legs = [group.leg for group in (*upserts.values(), *deletes.values())]
    rank = _ranks(tuple(sorted({leg.target.name for leg in legs})), _edges(legs))
    first = sorted(upserts.values(), key=lambda group: rank[group.leg.target.name])
    last = sorted(deletes.values(), key=lambda group: -rank[group.leg.target.name])
    return first + last


def _neighbours(operations: Sequence[Operation]) -> list[Group]:
    groups: list[Group] = []
    seen: set[tuple[str | None, ...]] = set()
    for operation in operations:
        last = groups[-1] if groups else None
        if (
            last is None
            or last.leg is not operation.leg
            or last.kind is not operation.kind
            or operation.key in seen
        ):
            last = Group(operation.leg, operation.kind)
            groups.append(last)
            seen = set()
        last.operations.append(operation)
        seen.add(operation.key)
    return groups


def _edges(legs: Sequence[CompiledLeg]) -> frozenset[tuple[str, str]]:
    """(child, parent) pairs between tables, from foreign keys and lookups."""
    pairs: set[tuple[str, str]] = set()
    for leg in legs:
        child = leg.target.name
        pairs.update((child, key.table) for key in leg.target.foreign_keys)
        for slot in leg.slots:
            if slot.lookup:
                pairs.update((child, table) for table in slot.lookup.tables)
    return frozenset(pairs)


@lru_cache(maxsize=256)
def _ranks(
    tables: tuple[str, ...], edges: frozenset[tuple[str, str]]
) -> dict[str, int]:
    graph: dict[str, set[str]] = {table: set() for table in tables}
    for child, parent in sorted(edges):
        if child in graph and parent in graph and child != parent:
            graph[child].add(parent)
    try:
        ordered = list(TopologicalSorter(graph).static_order())
    except CycleError:
        ordered = sorted(tables, key=lambda table: (len(graph[table]), table))
    return {table: number for number, table in enumerate(ordered)}
