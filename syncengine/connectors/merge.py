"""Which columns of a present record an operation may write, and which are contested.

Architecture section 6, Conflicts: the change's before-images are the base. A column
whose present value equals one of them is written; one that already equals the new
value is done; anything else is a conflict on that column alone. A guarded column is
written where its guard allows it and never contested: it may differ by design.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import ne

from syncengine.connectors.base import ColumnConflict, Operation
from syncengine.mapping.compiled import Row, Slot
from syncengine.mapping.guards import fold
from syncengine.mapping.types import equal

UNRESOLVED = "\0unresolved"
"""Stands in a before-image for what is not known, such as a reference that no longer
exists: equals nothing."""


def merge(
    operation: Operation, incoming: Row, history: Sequence[Row], present: Row
) -> tuple[list[int], list[ColumnConflict]]:
    """Slots to write and contested slots; rows hold values as written on the target.

    `incoming`, `history` and `present` have one value per slot of the leg.
    """
    if incoming == present:
        return [], []
    if (
        history == [present]
        and operation.update
        and not operation.force
        and operation.only is None
        and not operation.leg.guarded
    ):
        # Nobody else has written: what the change changed is all that differs.
        return [
            i for i, differs in enumerate(map(ne, incoming, present)) if differs
        ], []
    slots = operation.leg.slots
    constants = operation.leg.constants
    only = operation.only
    changed: list[int] = []
    conflicts: list[ColumnConflict] = []
    for index, (new, now) in enumerate(zip(incoming, present, strict=True)):
        if new == now or (only is not None and index not in only):
            continue
        slot = slots[index]
        earlier = [image[index] for image in history]
        if operation.update and not operation.force:
            if all(value == new for value in earlier):
                continue
            if now in earlier and slot.guard is None:
                changed.append(index)
                continue
        if _same(slot, new, now):
            continue
        if slot.guard is not None:
            if slot.guard.allows(new, now):
                changed.append(index)
            continue
        overwrite = operation.force or (not history and index in constants)
        if overwrite or any(_alike(slot, value, now) for value in earlier):
            changed.append(index)
        else:
            base = earlier[0] if earlier and earlier[0] != UNRESOLVED else None
            conflicts.append(ColumnConflict(index, base, new, now))
    return changed, conflicts


def changed_since(slots: Sequence[Slot], history: Sequence[Row], present: Row) -> bool:
    """True when a column of the present record is what no before-image says. Guarded
    columns may differ by design, and of one whose reference is gone nobody can tell."""
    return any(
        slot.guard is None
        and not any(
            image[index] == UNRESOLVED or _alike(slot, image[index], now)
            for image in history
        )
        for index, (slot, now) in enumerate(zip(slots, present, strict=True))
    )


def _alike(slot: Slot, base: str | None, now: str | None) -> bool:
    """True when the present value is what the base says, if in other words."""
    if _same(slot, base, now):
        return True
    none = slot.blanks
    return fold(slot.type, base) in none and fold(slot.type, now) in none


def _same(slot: Slot, left: str | None, right: str | None) -> bool:
    if left == right:
        return True
    if left is None or right is None or left == UNRESOLVED:
        return False
    return equal(slot.type, left, right)
