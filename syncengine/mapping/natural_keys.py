"""How a mapped row of one leg reads as the natural key of somebody's lookup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncengine.mapping.compiled import (
    PART_SEPARATOR,
    CompiledLeg,
    KeyPath,
    Lookup,
    Row,
    split_parts,
)


def own_key(leg: CompiledLeg, lookup: Lookup) -> Callable[[Row], str | None] | None:
    """How a mapped row of the leg itself reads as the natural key of `lookup`, where
    that may lead to a row of the same table; None where the leg does not write it."""
    for target in lookup.targets:
        if target.table != leg.target.name:
            continue
        places = [_place(leg, key) for key in target.keys]
        found = [place for place in places if place is not None]
        if len(found) == len(places):
            return _reader(found)
    return None


def _place(leg: CompiledLeg, key: KeyPath) -> tuple[int, int | None] | None:
    """The slot, and the part of it, that holds one part of a natural key."""
    for index, slot in enumerate(leg.slots):
        if not key.hops:
            if slot.lookup is None and slot.column == key.column:
                return index, None
            continue
        if slot.lookup is None or slot.column != key.hops[0].column:
            continue
        rest = KeyPath(key.column, key.hops[1:])
        parts = slot.lookup.keys
        if rest in parts:
            return index, parts.index(rest) if len(parts) > 1 else None
    return None


def _reader(places: Sequence[tuple[int, int | None]]) -> Callable[[Row], str | None]:
    if len(places) == 1 and places[0][1] is None:
        only = places[0][0]
        return lambda row: row[only]

    def read(row: Row) -> str | None:
        parts: list[str] = []
        for index, part in places:
            value = row[index]
            if value is None:
                return None
            parts.append(value if part is None else split_parts(value)[part])
        return PART_SEPARATOR.join(parts)

    return read
