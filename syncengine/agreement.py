"""Whether the present rows of one record agree under a map that flows both ways."""

from __future__ import annotations

from collections.abc import Mapping

from syncengine.connectors.base import ReadRequest
from syncengine.errors import RecordError
from syncengine.mapping.compiled import (
    PART_SEPARATOR,
    CompiledLeg,
    Resolved,
    Row,
    Slot,
)
from syncengine.mapping.guards import fold
from syncengine.mapping.types import equal


def source_request(leg: CompiledLeg) -> ReadRequest:
    """The leg's own source row, whether in the filter or not."""
    return ReadRequest(
        table=leg.source.name,
        columns=leg.source_paths,
        lookups=leg.source_lookups,
        key=leg.source_key,
        company=leg.source_company,
    )


def target_request(leg: CompiledLeg, reverse: CompiledLeg | None) -> ReadRequest:
    """The record on the target: as the opposite leg reads it, else as we wrote it."""
    if reverse is not None:
        return source_request(reverse)
    paths = tuple(slot.path for slot in leg.slots)
    return ReadRequest(
        table=leg.target.name,
        columns=paths,
        lookups=tuple(slot.lookup for slot in leg.slots if slot.lookup),
        key=tuple(paths[index] for index in leg.key),
    )


def joined(leg: CompiledLeg) -> Resolved:
    """No lookups to resolve: the reader joined them."""
    return [{} for _ in leg.source_lookups]


def mapped_row(leg: CompiledLeg, row: Row) -> Row:
    """What the leg makes of a row of its own source. Raises RecordError."""
    return leg.bind(leg.source_paths).map(row, joined(leg))


def in_scope(leg: CompiledLeg, row: Row) -> bool:
    """Whether the leg carries this row of its own source."""
    return leg.bind(leg.source_paths).in_scope(row, joined(leg))


def reverse_slots(
    leg: CompiledLeg, reverse: CompiledLeg | None, index: int
) -> set[int]:
    """The slots of the opposite leg that carry this column back: several where it
    takes the parts of a natural key. A reference is named by its column alone."""
    slot = leg.slots[index]
    if reverse is None:
        return set()
    return {
        number
        for number, back in enumerate(reverse.slots)
        if back.column in slot.sources and slot.column in back.sources
    }


def present_value(
    slot: Slot, present: Mapping[str, str | None], otherwise: str | None
) -> str | None:
    """What the target holds in a slot's column, as a mapped row has it."""
    paths = slot.lookup.paths if slot.lookup else (slot.column,)
    if len(paths) > 1 and all(path in present for path in paths):
        parts = [part for path in paths if (part := present[path]) is not None]
        return PART_SEPARATOR.join(parts) if len(parts) == len(paths) else None
    return present.get(slot.path, otherwise)


def alike(slot: Slot, left: str | None, right: str | None) -> bool:
    """The same value, if in other words."""
    if left == right:
        return True
    if left is not None and right is not None and equal(slot.type, left, right):
        return True
    none = slot.blanks
    return fold(slot.type, left) in none and fold(slot.type, right) in none


def differing(
    leg: CompiledLeg, reverse: CompiledLeg, source: Row | None, target: Row | None
) -> list[int | None]:
    """Slots of the leg that flow both ways and in which the present rows (as
    `source_request` of the two legs reads them) do not agree; None stands for a record
    that one side lacks. Empty also where a filter keeps the record out, or where it
    cannot be mapped."""
    if source is None and target is None:
        return []
    try:
        if source is None or target is None:
            there = (
                in_scope(leg, source)
                if source is not None
                else target is not None and in_scope(reverse, target)
            )
            return [None] if there else []
        if not (in_scope(leg, source) and in_scope(reverse, target)):
            return []
        forward = mapped_row(leg, source)
        backward = mapped_row(reverse, target)
    except RecordError:
        return []
    here = dict(zip(leg.source_paths, source, strict=True))
    there_values = dict(zip(reverse.source_paths, target, strict=True))
    found: list[int | None] = []
    for index, slot in enumerate(leg.slots):
        if index in leg.key or slot.guard is not None:
            continue
        back = reverse_slots(leg, reverse, index)
        if not back:
            continue
        if alike(slot, forward[index], present_value(slot, there_values, None)):
            continue
        others = [reverse.slots[one] for one in back]
        if all(
            alike(other, backward[one], present_value(other, here, None))
            for one, other in zip(back, others, strict=True)
        ):
            continue
        found.append(index)
    return found
