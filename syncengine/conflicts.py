"""Settles conflicts from present state (architecture section 6, Conflicts).

Both records are locked, FinOps first, and read; the contested columns are decided by
the map's policy and written to the losing side under our own mark. Changes still in
flight then find nothing to do, or are settled again on equal rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from syncengine.agreement import (
    alike,
    differing,
    mapped_row,
    present_value,
    reverse_slots,
)
from syncengine.connectors.base import (
    HeldRecord,
    Operation,
    OperationKind,
    Writer,
)
from syncengine.contests import (
    Contest,
    Pair,
    lock_pair,
    names_of,
    recreate,
    remove,
    rows_by_side,
    target_values,
    write_held,
)
from syncengine.errors import RecordError
from syncengine.mapping.compiled import CompiledLeg, Row, shown_parts
from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import ConflictRecord, Journal, Undecided

UNDECIDED = "undecided"
ONE_WAY = "The column flows one way only, so its source decides."

_POLICY_REASONS = {
    ConflictPolicy.FINOPS_WINS: "The map says that FinOps wins.",
    ConflictPolicy.DATAVERSE_WINS: "The map says that Dataverse wins.",
    ConflictPolicy.MANUAL: "The map says that a person decides.",
}


@dataclass(slots=True)
class _Unit:
    """Columns that are decided together: those that carry one reference, else one.
    `slots` of the leg, `back` of the opposite one."""

    slots: set[int]
    back: set[int]
    base: str | None
    ours: str | None
    theirs: str | None
    winner: str
    reason: str


class Settler:
    """Settles contests of one stream with writers of its own on both sides."""

    def __init__(
        self, source_writer: Writer, target_writer: Writer, journal: Journal
    ) -> None:
        self._source_writer = source_writer
        self._target_writer = target_writer
        self._journal = journal

    def _writers(self, leg: CompiledLeg) -> dict[Side, Writer]:
        source = leg.direction.source
        return {source: self._source_writer, source.other: self._target_writer}

    def settle(self, contest: Contest) -> bool:
        """Settle one contest. True when single columns were decided and the change's
        other columns are still to be written; False when the record as a whole is
        done. Raises RecordError when a side cannot be mapped, TransientError when a
        lock is not to be had."""
        with ExitStack() as stack:
            pair = lock_pair(contest, self._writers(contest.leg), stack)
            source, target = pair.source, pair.target
            if contest.expected is not None and contest.expected != (
                source.row,
                target.row,
            ):
                return False
            records: list[ConflictRecord] = []
            if contest.columns[0].slot is None:
                whole = True
                self._settle_record(contest, pair, records)
            else:
                whole = source.row is None or target.row is None
                if not whole:
                    self._settle_columns(contest, pair, records)
            if records:
                self._journal.record_conflicts(records)
        return not whole

    def review(self, contest: Contest, open_: Sequence[Undecided]) -> None:
        """Look again at undecided conflicts of a record that was touched: where users
        have made both sides agree they are over, else the log gets the present rows."""
        leg, reverse = contest.leg, contest.reverse
        if reverse is None:
            return
        finops_key = contest.side_keys()[Side.FINOPS]
        with ExitStack() as stack:
            pair = lock_pair(contest, self._writers(leg), stack)
            source, target = pair.source.row, pair.target.row
            if source is None and target is None:
                self._journal.close_undecided(contest.map_id, finops_key, None)
                return
            apart = {
                name
                for slot in differing(leg, reverse, source, target)
                if slot is not None
                for name in names_of(contest, {slot})[Side.FINOPS]
            }
            records: list[ConflictRecord] = []
            for one in open_:
                lacking = source is None or target is None
                if one.finops_columns and lacking:
                    continue
                if not lacking and apart.isdisjoint(one.finops_columns):
                    self._journal.close_undecided(
                        contest.map_id, finops_key, one.finops_columns
                    )
                    continue
                slots = {
                    index
                    for index in range(len(leg.slots))
                    if not apart.isdisjoint(names_of(contest, {index})[Side.FINOPS])
                    and not set(one.finops_columns).isdisjoint(
                        names_of(contest, {index})[Side.FINOPS]
                    )
                }
                records.append(self._again(contest, pair, slots))
            if records:
                self._journal.record_conflicts(records)

    def _again(self, contest: Contest, pair: Pair, slots: set[int]) -> ConflictRecord:
        reason = _POLICY_REASONS[ConflictPolicy.MANUAL]
        source, target = pair.source.row, pair.target.row
        if not slots or source is None or target is None:
            return self._record_of_row(contest, pair, UNDECIDED, reason)
        leg = contest.leg
        mapped = mapped_row(leg, source)
        first = min(slots)
        unit = _Unit(
            slots,
            set(),
            None,
            mapped[first],
            present_value(leg.slots[first], target_values(contest, target), None),
            UNDECIDED,
            reason,
        )
        return self._record(contest, pair, unit)

    # -- single columns -------------------------------------------------------------

    def _settle_columns(
        self, contest: Contest, pair: Pair, records: list[ConflictRecord]
    ) -> None:
        leg = contest.leg
        source_row, target_row = pair.source.row, pair.target.row
        if source_row is None or target_row is None:
            return
        mapped = mapped_row(leg, source_row)
        units = self._units(contest, pair, mapped, target_row)
        self._carry_forward(contest, pair.target, mapped, units)
        theirs = leg.direction.target.value
        backward: set[int] = set()
        for unit in units:
            if unit.winner == theirs:
                backward |= unit.back
            records.append(self._record(contest, pair, unit))
        if backward and contest.reverse is not None:
            reverse = contest.reverse
            row = mapped_row(reverse, target_row)
            self._carry(pair.source, reverse, row, backward)

    def _units(
        self, contest: Contest, pair: Pair, mapped: Row, target_row: Row
    ) -> list[_Unit]:
        """The contested columns that still differ, joined where they carry the parts
        of one reference."""
        leg = contest.leg
        present = target_values(contest, target_row)
        units: list[_Unit] = []
        for conflict in contest.columns:
            slot = conflict.slot
            if slot is None:
                continue
            here = present_value(leg.slots[slot], present, conflict.present)
            if alike(leg.slots[slot], mapped[slot], here):
                continue
            back = reverse_slots(leg, contest.reverse, slot)
            joined_unit = next((one for one in units if one.back & back), None)
            if joined_unit is not None:
                joined_unit.slots.add(slot)
                joined_unit.back |= back
                continue
            winner, reason = _winner(contest, pair, can_go_back=bool(back))
            units.append(
                _Unit({slot}, back, conflict.base, mapped[slot], here, winner, reason)
            )
        return units

    def _carry_forward(
        self, contest: Contest, target: HeldRecord, mapped: Row, units: list[_Unit]
    ) -> None:
        """Write what the source won. Parts of a reference that two users edited may
        together lead nowhere: then the reference that exists stands, on both sides."""
        leg = contest.leg
        while True:
            forward = [one for one in units if one.winner == leg.direction.source.value]
            try:
                self._carry(
                    target, leg, mapped, {slot for one in forward for slot in one.slots}
                )
                return
            except RecordError as error:
                lost = [
                    one
                    for one in forward
                    if one.back
                    and any(leg.slots[slot].path == error.column for slot in one.slots)
                ]
                if not lost:
                    raise
                for one in lost:
                    one.winner = leg.direction.target.value
                    one.reason = (
                        "The reference that the other side chose exists on one side "
                        "only, so the one that exists on both stands."
                    )

    def _carry(
        self, held: HeldRecord, leg: CompiledLeg, row: Row, slots: set[int]
    ) -> None:
        """Write some columns of a held record, whatever it holds in them."""
        if not slots:
            return
        wanted = slots.union(leg.key)
        if leg.company is not None:
            wanted.add(leg.company)
        operation = Operation(
            leg=leg,
            kind=OperationKind.UPSERT,
            key=leg.key_of(row),
            # What is not written need not be found either.
            row=tuple(v if i in wanted else None for i, v in enumerate(row)),
            force=True,
            only=frozenset(slots),
        )
        write_held(held, operation)

    # -- whole records --------------------------------------------------------------

    def _settle_record(
        self, contest: Contest, pair: Pair, records: list[ConflictRecord]
    ) -> None:
        """A record deleted on one side and changed on the other. A change outlives a
        delete unless the policy names the deleting side the winner: data that someone
        still works on is not thrown away."""
        leg = contest.leg
        source, target = pair.source, pair.target
        if (source.row is None) == (target.row is None):
            return
        alive = leg.direction.source if source.row is not None else leg.direction.target
        policy = contest.by_policy
        winner = alive.value
        reason = "A change outlives a delete: nothing that is worked on is thrown away."
        if contest.reverse is None:
            winner, reason = leg.direction.source.value, ONE_WAY
        elif policy is ConflictPolicy.MANUAL:
            winner, reason = UNDECIDED, _POLICY_REASONS[policy]
        elif policy in _POLICY_REASONS:
            side = (
                Side.FINOPS if policy is ConflictPolicy.FINOPS_WINS else Side.DATAVERSE
            )
            winner, reason = side.value, _POLICY_REASONS[policy]
        records.append(self._record_of_row(contest, pair, winner, reason))
        if winner == UNDECIDED:
            return
        if winner == alive.value:
            recreate(contest, pair)
        else:
            remove(contest, pair)

    # -- the log --------------------------------------------------------------------

    def _record_of_row(
        self, contest: Contest, pair: Pair, winner: str, reason: str
    ) -> ConflictRecord:
        here, there = (
            None if held.row is None else "present"
            for held in (pair.source, pair.target)
        )
        unit = _Unit(set(), set(), None, here, there, winner, reason)
        return self._record(contest, pair, unit)

    def _record(self, contest: Contest, pair: Pair, unit: _Unit) -> ConflictRecord:
        leg = contest.leg
        names = names_of(contest, unit.slots)
        keys = contest.side_keys()
        rows = rows_by_side(contest, pair)
        return ConflictRecord(
            map_id=contest.map_id,
            direction=leg.direction,
            key=contest.source_key,
            policy=contest.by_policy.value,
            winner=unit.winner,
            column=", ".join(leg.slots[slot].path for slot in sorted(unit.slots)),
            base=shown_parts(unit.base),
            source_value=shown_parts(unit.ours),
            target_value=shown_parts(unit.theirs),
            finops_key=keys[Side.FINOPS],
            dataverse_key=keys[Side.DATAVERSE],
            finops_columns=names[Side.FINOPS],
            dataverse_columns=names[Side.DATAVERSE],
            finops_row=rows[Side.FINOPS],
            dataverse_row=rows[Side.DATAVERSE],
            finops_written_at=pair.by_side[Side.FINOPS].committed_at,
            dataverse_written_at=pair.by_side[Side.DATAVERSE].committed_at,
            reason=unit.reason,
        )


def _winner(contest: Contest, pair: Pair, *, can_go_back: bool) -> tuple[str, str]:
    """The side whose value both get, or `undecided` (policy manual), and why."""
    policy = contest.by_policy
    if not can_go_back:
        return contest.leg.direction.source.value, ONE_WAY
    if policy is ConflictPolicy.MANUAL:
        return UNDECIDED, _POLICY_REASONS[policy]
    if policy is ConflictPolicy.FINOPS_WINS:
        return Side.FINOPS.value, _POLICY_REASONS[policy]
    if policy is ConflictPolicy.DATAVERSE_WINS:
        return Side.DATAVERSE.value, _POLICY_REASONS[policy]
    finops = pair.by_side[Side.FINOPS].committed_at
    dataverse = pair.by_side[Side.DATAVERSE].committed_at
    if finops is None or dataverse is None:
        return Side.FINOPS.value, (
            "Not both systems tell when a row was last written "
            "(track_commit_timestamp is off), so FinOps wins."
        )
    if finops == dataverse:
        return Side.FINOPS.value, "Both were written at the same moment: FinOps wins."
    side = Side.FINOPS if finops > dataverse else Side.DATAVERSE
    return side.value, "Its row was written last."
