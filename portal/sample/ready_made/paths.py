"""The Dataverse ends of map lines: plain columns, and references to other tables.

A path is `column`, `reference.key`, `reference.reference.key` or, where a reference
may lead to several tables, `reference.Account(key).Contact(key)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from syncengine.catalog import CatalogEntry, entries

_ALTERNATIVE = re.compile(r"\w+\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Part:
    """One FinOps column that names the referred row, and its path from there."""

    finops: str
    tail: str


@dataclass(frozen=True)
class Reference:
    """A reference column of a Dataverse table with all lines that lead through it.

    `targets` are the tables it may refer to: more than one where it is polymorphic.
    """

    column: str
    targets: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def polymorphic(self) -> bool:
        """Whether it may refer to rows of several tables."""
        return len(self.targets) > 1


@cache
def references(entry: CatalogEntry) -> tuple[Reference, ...]:
    """The reference columns of a map's Dataverse table, in the order of its lines."""
    tables = dict(entry.lookups)
    found: dict[str, list[Part]] = {}
    for line in entry.columns:
        if line.dataverse and "." in line.dataverse:
            column, _, tail = line.dataverse.partition(".")
            found.setdefault(column, [])
            if line.finops:
                found[column].append(Part(line.finops, tail))
    return tuple(
        Reference(column, tuple(tables[column].split("|")), tuple(parts))
        for column, parts in found.items()
    )


def alternatives(tail: str) -> tuple[str, ...]:
    """The key columns of a polymorphic tail, one for each table: `Account(number)`
    `.Contact(id)` gives number and id; () for other tails."""
    return tuple(_ALTERNATIVE.findall(tail))


@cache
def by_table() -> dict[str, tuple[CatalogEntry, ...]]:
    """The maps that write each Dataverse table, by its name."""
    found: dict[str, list[CatalogEntry]] = {}
    for entry in entries():
        found.setdefault(entry.dataverse_table, []).append(entry)
    return {table: tuple(maps) for table, maps in found.items()}


def ends(entry: CatalogEntry, path: str) -> list[tuple[str, str]]:
    """The tables and columns a Dataverse path of the map leads to: one, or one for
    each table of a polymorphic reference."""
    if "." not in path:
        return [(entry.dataverse_table, path)]
    column, _, tail = path.partition(".")
    targets = dict(entry.lookups)[column].split("|")
    keys = alternatives(tail)
    if keys:
        return list(zip(targets, keys, strict=True))
    if "." not in tail:
        return [(targets[0], tail)]
    over = tail.partition(".")
    further = dict(entry.lookups)[f"{column}.{over[0]}"]
    return [(further, over[2])]
