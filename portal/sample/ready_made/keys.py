"""What identifies a record, so that no two numbers give the same key.

A key consists of references, words of a value map, and values of its own. The number
of a record is read as digits: one for each reference and word, the rest for what is
the record's own. A key without a value of its own limits how many records there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from portal.sample.ready_made import targets
from portal.sample.ready_made.paths import Reference, references
from portal.sample.ready_made.targets import Target
from syncengine.catalog import CatalogEntry


@dataclass(frozen=True)
class Key:
    """The parts of a map's key. `references` are reference columns that decide FinOps
    key columns, `words` are FinOps columns with a value map and how many values it
    has, `own` are the FinOps columns the record fills by itself."""

    references: tuple[Reference, ...]
    words: tuple[tuple[str, int], ...]
    own: tuple[str, ...]


@cache
def leading(entry: CatalogEntry) -> dict[str, Reference]:
    """For each FinOps column that names referred rows, the reference that decides its
    value: the one with the most columns. Others through the same column follow it."""
    found: dict[str, Reference] = {}
    for reference in sorted(references(entry), key=lambda r: -len(r.parts)):
        columns = [part.finops for part in reference.parts]
        if not any(column in found for column in columns):
            found.update(dict.fromkeys(columns, reference))
    return found


@cache
def own_columns(entry: CatalogEntry, reference: Reference) -> frozenset[str]:
    """The FinOps columns of a reference that no other line reads: the reference is
    empty where they are, whatever its other columns hold."""
    uses = Counter(line.finops for line in entry.columns)
    return frozenset(p.finops for p in reference.parts if uses[p.finops] == 1)


@cache
def key_of(entry: CatalogEntry) -> Key:
    """The key of a map's records."""
    leads, mapped = leading(entry), {}
    for line in entry.columns:
        if line.finops and line.values:
            mapped[line.finops] = len(usable_pairs(line.values))
    refers: dict[str, Reference] = {}
    words, own = [], []
    whole = {pair.finops for pair in entry.key}
    for pair in entry.key:
        column = pair.finops
        if column in leads:
            # A row that other columns choose too may share this part with others.
            if {part.finops for part in leads[column].parts} <= whole:
                refers.setdefault(leads[column].column, leads[column])
        elif column in mapped:
            words.append((column, mapped[column]))
        else:
            own.append(column)
    return Key(tuple(refers.values()), tuple(words), tuple(own))


def usable_pairs(values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs of a value map that can be read in either direction."""
    found: dict[str, tuple[str, str]] = {}
    for left, right in values:
        if left.lower() != "blank":
            found.setdefault(right, (left, right))
    return list(found.values())


@cache
def key_targets(entry: CatalogEntry) -> tuple[Target, ...]:
    """What the references of the key lead to, in their order."""
    return tuple(targets.of(entry, one)[0] for one in key_of(entry).references)


def radixes(entry: CatalogEntry, counts: Sequence[int]) -> list[int]:
    """How many values each reference (of so many rows) and word of the key takes. Of
    two references to the same table the second avoids the first one's row."""
    seen: list[Target] = []
    found = []
    for target, count in zip(key_targets(entry), counts, strict=True):
        again = any(other.table == target.table for other in seen)
        found.append(max(count - again, 1))
        seen.append(target)
    return found + [number for _, number in key_of(entry).words]


def digits(number: int, radix: Sequence[int]) -> tuple[list[int], int]:
    """The digits of a number, lowest first, and what is left of it."""
    found = []
    for one in radix:
        number, digit = divmod(number, one)
        found.append(digit)
    return found, number
