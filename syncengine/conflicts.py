"""Settles conflicts from present state (architecture section 6, Conflicts).

Both records are locked, FinOps first, and read; the contested columns are decided by
the map's policy and written to the losing side under our own mark. Changes still in
flight then find nothing to do, or are settled again on equal rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from syncengine.connectors.base import (
    LOOKUP_CODES,
    ColumnConflict,
    HeldRecord,
    Operation,
    OperationKind,
    ReadRequest,
    Writer,
)
from syncengine.errors import RecordError, TransientError
from syncengine.mapping.compiled import (
    PART_SEPARATOR,
    CompiledLeg,
    Resolved,
    Row,
    Slot,
    shown_parts,
)
from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import ConflictRecord, Journal

UNDECIDED = "undecided"


@dataclass(frozen=True)
class Contest:
    """A contested record: the leg that carried the change, the opposite leg (None when
    the map has no way back), its key on both sides, and the contested columns."""

    map_id: int
    leg: CompiledLeg
    reverse: CompiledLeg | None
    source_key: Row
    target_key: Row
    columns: Sequence[ColumnConflict]


@dataclass(slots=True)
class _Contested:
    """A contested column: its slot, the base, what the target holds, the slots that
    carry it back, and the side that wins."""

    slot: int
    base: str | None
    here: str | None
    back: set[int]
    winner: str


class Settler:
    """Settles contests of one stream with writers of its own on both sides."""

    def __init__(
        self, source_writer: Writer, target_writer: Writer, journal: Journal
    ) -> None:
        self._source_writer = source_writer
        self._target_writer = target_writer
        self._journal = journal

    def settle(self, contest: Contest) -> bool:
        """Settle one contest. True when single columns were decided and the change's
        other columns are still to be written; False when the record as a whole is
        done. Raises RecordError when a side cannot be mapped, TransientError when a
        lock is not to be had."""
        records: list[ConflictRecord] = []
        with ExitStack() as stack:
            source, target = self._lock(contest, stack)
            if contest.columns[0].slot is None:
                self._settle_record(contest, source, target, records)
                whole = True
            else:
                whole = source.row is None or target.row is None
                if not whole:
                    self._settle_columns(contest, source, target, records)
        self._journal.record_conflicts(records)
        return not whole

    def _lock(
        self, contest: Contest, stack: ExitStack
    ) -> tuple[HeldRecord, HeldRecord]:
        """Lock both records, FinOps first, so that two streams never cross."""
        sides = {
            contest.leg.direction.source: (
                self._source_writer,
                _source_request(contest.leg),
                contest.source_key,
            ),
            contest.leg.direction.target: (
                self._target_writer,
                _target_request(contest),
                contest.target_key,
            ),
        }
        held = {
            side: stack.enter_context(
                sides[side][0].hold(sides[side][1], sides[side][2])
            )
            for side in (Side.FINOPS, Side.DATAVERSE)
        }
        source = contest.leg.direction.source
        return held[source], held[source.other]

    # -- single columns -------------------------------------------------------------

    def _settle_columns(
        self,
        contest: Contest,
        source: HeldRecord,
        target: HeldRecord,
        records: list[ConflictRecord],
    ) -> None:
        leg = contest.leg
        source_row, target_row = source.row, target.row
        if source_row is None or target_row is None:
            return
        mapped = leg.bind(leg.source_paths).map(source_row, _joined(leg))
        present = dict(zip(_target_request(contest).columns, target_row, strict=True))
        contested: list[_Contested] = []
        for conflict in contest.columns:
            if conflict.slot is None:
                continue
            here = _present(leg.slots[conflict.slot], present, conflict.present)
            if mapped[conflict.slot] == here:
                continue
            back = reverse_slots(leg, contest.reverse, conflict.slot)
            winner = self._winner(contest, source, target, can_go_back=bool(back))
            contested.append(
                _Contested(conflict.slot, conflict.base, here, back, winner)
            )
        ours = leg.direction.source.value
        forward = [one for one in contested if one.winner == ours]
        try:
            self._carry(target, leg, mapped, {one.slot for one in forward})
        except RecordError:
            # Parts of a reference that two users edited may together lead nowhere:
            # then the reference that exists stands, on both sides.
            if not all(one.back for one in forward):
                raise
            for one in forward:
                one.winner = leg.direction.target.value
        backward: set[int] = set()
        for one in contested:
            if one.winner == leg.direction.target.value:
                backward |= one.back
            records.append(
                self._record(
                    contest,
                    one.winner,
                    leg.slots[one.slot].path,
                    one.base,
                    shown_parts(mapped[one.slot]),
                    shown_parts(one.here),
                )
            )
        if backward and contest.reverse is not None:
            reverse = contest.reverse
            row = reverse.bind(reverse.source_paths).map(target_row, _joined(reverse))
            self._carry(source, reverse, row, backward)

    def _carry(
        self, held: HeldRecord, leg: CompiledLeg, row: Row, slots: set[int]
    ) -> None:
        """Write some columns of a held record, whatever it holds in them."""
        if not slots:
            return
        operation = Operation(
            leg=leg,
            kind=OperationKind.UPSERT,
            key=leg.key_of(row),
            row=row,
            force=True,
            only=frozenset(slots),
        )
        self._write(held, operation)

    def _winner(
        self,
        contest: Contest,
        source: HeldRecord,
        target: HeldRecord,
        *,
        can_go_back: bool,
    ) -> str:
        """The side whose value both get, or `undecided` (policy manual)."""
        direction = contest.leg.direction
        policy = contest.leg.table_map.conflict
        if not can_go_back:
            return direction.source.value
        if policy is ConflictPolicy.MANUAL:
            return UNDECIDED
        if policy is ConflictPolicy.FINOPS_WINS:
            return Side.FINOPS.value
        if policy is ConflictPolicy.DATAVERSE_WINS:
            return Side.DATAVERSE.value
        if source.committed_at is None or target.committed_at is None:
            return Side.FINOPS.value
        if source.committed_at == target.committed_at:
            return Side.FINOPS.value
        later_is_source = source.committed_at > target.committed_at
        side = direction.source if later_is_source else direction.target
        return side.value

    # -- whole records --------------------------------------------------------------

    def _settle_record(
        self,
        contest: Contest,
        source: HeldRecord,
        target: HeldRecord,
        records: list[ConflictRecord],
    ) -> None:
        """A record deleted on one side and changed on the other. A change outlives a
        delete unless the policy names the deleting side the winner: data that someone
        still works on is not thrown away."""
        leg = contest.leg
        if (source.row is None) == (target.row is None):
            return
        alive = leg.direction.source if source.row is not None else leg.direction.target
        winner = alive.value
        policy = leg.table_map.conflict
        if policy is ConflictPolicy.FINOPS_WINS:
            winner = Side.FINOPS.value
        elif policy is ConflictPolicy.DATAVERSE_WINS:
            winner = Side.DATAVERSE.value
        elif policy is ConflictPolicy.MANUAL:
            winner = UNDECIDED
        if contest.reverse is None:
            winner = leg.direction.source.value
        records.append(
            self._record(
                contest,
                winner,
                "",
                None,
                None if source.row is None else "present",
                None if target.row is None else "present",
            )
        )
        if winner == UNDECIDED:
            return
        if winner == alive.value:
            self._recreate(contest, source, target)
        else:
            self._remove(contest, source, target)

    def _recreate(
        self, contest: Contest, source: HeldRecord, target: HeldRecord
    ) -> None:
        leg: CompiledLeg | None = contest.leg
        held, row = target, source.row
        if row is None:
            leg, held, row = contest.reverse, source, target.row
        if leg is None or row is None:
            return
        mapped = leg.bind(leg.source_paths).map(row, _joined(leg))
        self._write(
            held,
            Operation(
                leg=leg,
                kind=OperationKind.UPSERT,
                key=leg.key_of(mapped),
                row=mapped,
                force=True,
            ),
        )

    def _remove(self, contest: Contest, source: HeldRecord, target: HeldRecord) -> None:
        if target.row is not None:
            operation = Operation(
                leg=contest.leg,
                kind=OperationKind.DELETE,
                key=contest.target_key,
                row=None,
                force=True,
            )
            self._write(target, operation)
        elif contest.reverse is not None:
            operation = Operation(
                leg=contest.reverse,
                kind=OperationKind.DELETE,
                key=contest.source_key,
                row=None,
                force=True,
            )
            self._write(source, operation)

    def _write(self, held: HeldRecord, operation: Operation) -> None:
        for outcome in held.write([operation]):
            if outcome.code in LOOKUP_CODES:
                raise RecordError(
                    outcome.message, code=outcome.code, column=outcome.column
                )
            if outcome.code:
                raise TransientError(outcome.message, code=outcome.code)

    def _record(
        self,
        contest: Contest,
        winner: str,
        column: str,
        base: str | None,
        source_value: str | None,
        target_value: str | None,
    ) -> ConflictRecord:
        return ConflictRecord(
            map_id=contest.map_id,
            direction=contest.leg.direction,
            key=contest.source_key,
            policy=contest.leg.table_map.conflict.value,
            winner=winner,
            column=column,
            base=base,
            source_value=source_value,
            target_value=target_value,
        )


def _source_request(leg: CompiledLeg) -> ReadRequest:
    """The leg's own source row, whether in the filter or not."""
    return ReadRequest(
        table=leg.source.name,
        columns=leg.source_paths,
        lookups=leg.source_lookups,
        key=leg.source_key,
        company=leg.source_company,
    )


def _target_request(contest: Contest) -> ReadRequest:
    """The record on the target: as the opposite leg reads it, else as we wrote it."""
    if contest.reverse is not None:
        return _source_request(contest.reverse)
    leg = contest.leg
    paths = tuple(slot.path for slot in leg.slots)
    return ReadRequest(
        table=leg.target.name,
        columns=paths,
        lookups=tuple(slot.lookup for slot in leg.slots if slot.lookup),
        key=tuple(paths[index] for index in leg.key),
    )


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


def _present(
    slot: Slot, present: Mapping[str, str | None], otherwise: str | None
) -> str | None:
    """What the target holds in a slot's column, as a mapped row has it."""
    paths = slot.lookup.paths if slot.lookup else (slot.column,)
    if len(paths) > 1 and all(path in present for path in paths):
        parts = [part for path in paths if (part := present[path]) is not None]
        return PART_SEPARATOR.join(parts) if len(parts) == len(paths) else None
    return present.get(slot.path, otherwise)


def _joined(leg: CompiledLeg) -> Resolved:
    """No lookups to resolve: the reader joined them."""
    return [{} for _ in leg.source_lookups]
