"""The key of a record on one side, in the two forms that a map's legs have it.

The leg that *reads* the side names every column path once (`source_key`); the one
that *writes* it has one value per column (`key`), the parts of a composite natural key
joined to one, and in an order of its own. What is looked up, locked and logged goes by
the first form, operations go by the second.
"""

from __future__ import annotations

from syncengine.errors import RecordError
from syncengine.mapping.compiled import (
    PART_SEPARATOR,
    CompiledLeg,
    Row,
    Slot,
    named_values,
)


def as_read(writing: CompiledLeg, reading: CompiledLeg | None, key: Row) -> Row:
    """The key that `writing` gives a record of its target, as the opposite leg
    `reading` reads it there; without that leg as it is. Raises RecordError
    `key_unmatched` where the two legs do not go by the same columns."""
    if reading is None:
        return key
    slots = [writing.slots[index] for index in writing.key]
    known = named_values(slots, key)
    return tuple(_known(known, path, writing) for path in reading.source_key)


def as_written(writing: CompiledLeg, reading: CompiledLeg | None, key: Row) -> Row:
    """The opposite of `as_read`."""
    if reading is None:
        return key
    known = dict(zip(reading.source_key, key, strict=True))
    slots = [writing.slots[index] for index in writing.key]
    return tuple(_joined(known, slot, writing) for slot in slots)


def _joined(
    known: dict[str, str | None], slot: Slot, writing: CompiledLeg
) -> str | None:
    paths = slot.lookup.paths if slot.lookup else (slot.column,)
    parts = [_known(known, path, writing) for path in paths]
    if len(parts) == 1:
        return parts[0]
    whole = [part for part in parts if part is not None]
    return PART_SEPARATOR.join(whole) if len(whole) == len(parts) else None


def _known(known: dict[str, str | None], path: str, writing: CompiledLeg) -> str | None:
    if path in known:
        return known[path]
    raise RecordError(
        f"The two directions of map {writing.table_map.name} do not find a record of "
        f"{writing.target.name} by the same columns: one of them has no {path}.",
        code="key_unmatched",
        column=path,
    )
