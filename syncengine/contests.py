"""A contested record, locked on both sides: how its columns are named and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from syncengine.agreement import (
    mapped_row,
    reverse_slots,
    source_request,
    target_request,
)
from syncengine.connectors.base import (
    LOOKUP_CODES,
    ColumnConflict,
    HeldRecord,
    Operation,
    OperationKind,
    Writer,
)
from syncengine.errors import RecordError, TransientError
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import Undecided
from syncengine.record_keys import as_written


@dataclass(frozen=True)
class Contest:
    """A contested record: the leg that carried the change, the opposite leg (None when
    the map has no way back), its key on both sides as each side's own leg reads it
    (`record_keys.as_read`), and the contested columns.
    `policy` stands in for the map's; with `expected` nothing is done unless both rows
    are still these."""

    map_id: int
    leg: CompiledLeg
    reverse: CompiledLeg | None
    source_key: Row
    target_key: Row
    columns: Sequence[ColumnConflict]
    policy: ConflictPolicy | None = None
    expected: tuple[Row | None, Row | None] | None = None

    @property
    def by_policy(self) -> ConflictPolicy:
        """What decides."""
        return self.policy or self.leg.table_map.conflict

    def side_keys(self) -> dict[Side, Row]:
        """The record's key on each side."""
        source = self.leg.direction.source
        return {source: self.source_key, source.other: self.target_key}


@dataclass(slots=True)
class Pair:
    """Both records of a contest, locked."""

    source: HeldRecord
    target: HeldRecord
    by_side: dict[Side, HeldRecord]


def lock_pair(
    contest: Contest, writers: Mapping[Side, Writer], stack: ExitStack
) -> Pair:
    """Lock both records, FinOps first, so that two streams never cross."""
    source = contest.leg.direction.source
    requests = {
        source: source_request(contest.leg),
        source.other: target_request(contest.leg, contest.reverse),
    }
    keys = contest.side_keys()
    held = {
        side: stack.enter_context(writers[side].hold(requests[side], keys[side]))
        for side in (Side.FINOPS, Side.DATAVERSE)
    }
    return Pair(held[source], held[source.other], held)


# -- writing to held records ----------------------------------------------------------


def write_held(held: HeldRecord, operation: Operation) -> None:
    """Write one operation to a held record. Raises RecordError for a lookup that leads
    nowhere, TransientError for anything else that the writer fails."""
    for outcome in held.write([operation]):
        if outcome.code in LOOKUP_CODES:
            raise RecordError(outcome.message, code=outcome.code, column=outcome.column)
        if outcome.code:
            raise TransientError(outcome.message, code=outcome.code)


def recreate(contest: Contest, pair: Pair) -> None:
    """Make the record anew on the side that lacks it, from the other."""
    leg: CompiledLeg | None = contest.leg
    held, row = pair.target, pair.source.row
    if row is None:
        leg, held, row = contest.reverse, pair.source, pair.target.row
    if leg is not None and row is not None:
        make(held, leg, mapped_row(leg, row))


def make(held: HeldRecord, leg: CompiledLeg, mapped: Row) -> None:
    """Write a whole record."""
    write_held(
        held,
        Operation(
            leg=leg,
            kind=OperationKind.UPSERT,
            key=leg.key_of(mapped),
            row=mapped,
            force=True,
        ),
    )


def remove(contest: Contest, pair: Pair) -> None:
    """Delete the record on the sides that have it."""
    leg, reverse = contest.leg, contest.reverse
    for held, writing, reading, key in (
        (pair.target, leg, reverse, contest.target_key),
        (pair.source, reverse, leg, contest.source_key),
    ):
        if held.row is None or writing is None:
            continue
        own = as_written(writing, reading, key)
        write_held(
            held, Operation(writing, OperationKind.DELETE, own, None, force=True)
        )


# -- names ----------------------------------------------------------------------------


def target_values(contest: Contest, row: Row) -> dict[str, str | None]:
    request = target_request(contest.leg, contest.reverse)
    return dict(zip(request.columns, row, strict=True))


def names_of(contest: Contest, slots: set[int]) -> dict[Side, tuple[str, ...]]:
    """The column paths of these slots on each side, all parts of a reference
    together: the same from whichever stream they are seen."""
    leg, reverse = contest.leg, contest.reverse
    forward, back = set(slots), set()
    for _ in range(2):
        for slot in list(forward):
            back |= reverse_slots(leg, reverse, slot)
        if reverse is not None:
            for slot in list(back):
                forward |= reverse_slots(reverse, leg, slot)
    target = tuple(sorted(paths_of(leg, forward)))
    source = (
        tuple(sorted(paths_of(reverse, back)))
        if reverse is not None and back
        else tuple(sorted({c for s in forward for c in leg.slots[s].sources}))
    )
    side = leg.direction.source
    return {side: source, side.other: target}


def paths_of(leg: CompiledLeg, slots: set[int]) -> set[str]:
    found: set[str] = set()
    for index in slots:
        slot = leg.slots[index]
        found.update(slot.lookup.paths if slot.lookup else (slot.column,))
    return found


def rows_by_side(
    contest: Contest, pair: Pair
) -> dict[Side, dict[str, str | None] | None]:
    leg = contest.leg
    source = leg.direction.source
    there = target_request(leg, contest.reverse).columns
    layouts = {source: leg.source_paths, source.other: there}
    rows: dict[Side, dict[str, str | None] | None] = {}
    for side, paths in layouts.items():
        row = pair.by_side[side].row
        rows[side] = None if row is None else dict(zip(paths, row, strict=True))
    return rows


def undecided_slots(
    leg: CompiledLeg, reverse: CompiledLeg | None, one: Undecided
) -> frozenset[int]:
    """The slots of a leg that an undecided conflict holds."""
    wanted = set(
        one.dataverse_columns
        if leg.direction.target is Side.DATAVERSE
        else one.finops_columns
    )
    return frozenset(
        index
        for index in range(len(leg.slots))
        if not wanted.isdisjoint(paths_of(leg, {index}))
    )
