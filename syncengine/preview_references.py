"""Whether what mapped rows refer to is there, asked the reader's way: no writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncengine.connectors.base import Reader, ReadRequest
from syncengine.mapping.compiled import (
    CompiledLeg,
    KeyPath,
    Lookup,
    LookupTarget,
    Row,
    Slot,
    named_values,
    split_parts,
)

_Asked = tuple[str, str | None]
"""A natural key and the company it must belong to (None where it needs none)."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A reference that finds no row, or several. `column` is the path that feeds it."""

    column: str
    code: str
    message: str


def missing_references(
    reader: Reader, leg: CompiledLeg, rows: Sequence[Row]
) -> list[Missing | None]:
    """For each mapped row the first reference that could not be written, if any: a few
    questions for each reference column, however many rows there are."""
    found: list[Missing | None] = [None] * len(rows)
    for index, slot in enumerate(leg.slots):
        lookup = slot.lookup
        if lookup is None:
            continue
        asked = [_asked(leg, lookup, index, row) for row in rows]
        counts = _counts(reader, lookup, {each for each in asked if each is not None})
        for number, (row, each) in enumerate(zip(rows, asked, strict=True)):
            if each is None or found[number] is not None:
                continue
            count = counts[each] or _itself(leg, lookup, row, each[0])
            if count != 1:
                found[number] = _missing(slot, lookup, each, several=count > 1)
    return found


def _asked(leg: CompiledLeg, lookup: Lookup, index: int, row: Row) -> _Asked | None:
    value = row[index]
    if value is None:
        return None
    scoped = lookup.scoped and leg.company is not None and index != leg.company
    return value, row[leg.company or 0] if scoped else None


def _counts(reader: Reader, lookup: Lookup, asked: set[_Asked]) -> Counter[_Asked]:
    """How many rows each natural key has, in all tables the lookup may lead to."""
    counts: Counter[_Asked] = Counter()
    for target in lookup.targets:
        for company in {company for _, company in asked}:
            keys = {key: _parts(target, key) for key, own in asked if own == company}
            for key, number in _rows(reader, target, company, keys).items():
                counts[key, company] += number
    return counts


def _rows(
    reader: Reader,
    target: LookupTarget,
    company: str | None,
    keys: Mapping[str, Row],
) -> Mapping[str, int]:
    """How many rows of one table have each of these natural keys."""
    paths = tuple(key.path for key in target.keys)
    scoped = target.company if company is not None else None
    request = ReadRequest(
        table=target.table,
        columns=paths,
        lookups=tuple(dict.fromkeys(_step(key) for key in target.keys if key.hops)),
        key=paths,
        company=scoped,
        companies=(company,) if scoped and company is not None else (),
    )
    there = Counter(reader.fetch(request, list(keys.values())))
    counts = {key: there[parts] for key, parts in keys.items()}
    # A key may be spelled otherwise there (padding, case): then it is asked alone.
    if sum(counts.values()) < sum(there.values()):
        for key, parts in keys.items():
            counts[key] = counts[key] or len(reader.fetch(request, [parts]))
    return counts


def _parts(target: LookupTarget, key: str) -> Row:
    return tuple(split_parts(key)) if len(target.keys) > 1 else (key,)


def _step(key: KeyPath) -> Lookup:
    """The way to a natural key over its hops, as a lookup of the referenced table."""
    first, *rest = key.hops
    way = KeyPath(key.column, tuple(rest))
    return Lookup(first.column, (LookupTarget(first.table, first.reference, (way,)),))


def _itself(leg: CompiledLeg, lookup: Lookup, row: Row, key: str) -> int:
    """1 when the row refers to itself: it is there once it is written."""
    named = named_values(leg.slots, row)
    return int(
        any(
            target.table == leg.target.name
            and tuple(named.get(path.path) for path in target.keys)
            == _parts(target, key)
            for target in lookup.targets
        )
    )


def _missing(slot: Slot, lookup: Lookup, asked: _Asked, *, several: bool) -> Missing:
    key, company = asked
    scope = f" in company {company}" if company is not None else ""
    named = " or of ".join(
        f"{target.table} has "
        + " and ".join(
            f"{path.path} = {part}"
            for path, part in zip(target.keys, _parts(target, key), strict=True)
        )
        for target in lookup.targets
    )
    column = lookup.paths[0]
    if several:
        return Missing(
            column,
            "lookup_ambiguous",
            f"Several rows of {named}{scope}, so {slot.column} cannot be filled. Make "
            "the value unique there.",
        )
    return Missing(
        column,
        "lookup_not_found",
        f"No row of {named}{scope}, so {slot.column} cannot be filled. Bring that row "
        "over first, or correct the value.",
    )
