"""Several changes of one record in a batch become one operation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syncengine.connectors.base import Operation, OperationKind
from syncengine.live.routing import Item
from syncengine.mapping.compiled import CompiledLeg, Row


@dataclass(slots=True)
class Folded:
    """One operation and the items it stands for, oldest first."""

    operation: Operation
    items: list[Item]


def fold(items: Iterable[Item]) -> list[Folded]:
    """One operation per record, in the order records first appear.

    The images in between count as earlier images of the record, so a target that
    holds one of them (a crash between two commits, a copy that read it) is written.
    """
    folded: list[Folded] = []
    index: dict[tuple[int, Row], Folded] = {}
    for item in items:
        leg = item.leg.compiled
        if leg is None or item.parked or item.refusal is not None:
            continue
        found = index.get((id(leg), item.key))
        if found is None:
            found = Folded(_operation(leg, item, len(folded)), [item])
            index[id(leg), item.key] = found
            folded.append(found)
        else:
            _merge(found.operation, item)
            found.items.append(item)
    return folded


def unfolded(items: Iterable[Item]) -> list[Folded]:
    """One operation per change, in source order."""
    result: list[Folded] = []
    for item in items:
        leg = item.leg.compiled
        if leg is not None and not item.parked and item.refusal is None:
            result.append(Folded(_operation(leg, item, len(result)), [item]))
    return result


def _operation(leg: CompiledLeg, item: Item, reference: int) -> Operation:
    """What to do for one change. After an earlier change of the record was parked, in
    this very batch perhaps, the target does not hold the image before this one."""
    known = item.leg.open_keys
    force = item.force or (bool(known) and item.source_key in known)
    return Operation(
        leg=leg,
        kind=item.kind,
        key=item.key,
        row=item.row,
        history=_history(item),
        update=item.kind is OperationKind.UPSERT and item.base is not None,
        force=force,
        only=item.leg.free_slots(item.source_key) if item.leg.held else None,
        reference=reference,
    )


def _history(item: Item) -> tuple[Row, ...]:
    """What the target may hold before one change, of our own doing: the image before
    it, or what a retry wrote in advance of it."""
    if item.base is None:
        return ()
    early = item.leg.retried.get(item.source_key)
    return (item.base,) if early is None else (item.base, early)


def _merge(operation: Operation, item: Item) -> None:
    if operation.kind is OperationKind.DELETE and item.kind is OperationKind.UPSERT:
        operation.force = True
    elif operation.row is not None and operation.row not in operation.history:
        operation.history = (*operation.history, operation.row)
    operation.kind = item.kind
    operation.row = item.row
    operation.force = operation.force or item.force
