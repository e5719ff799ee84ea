"""Carries out what a person decided about a conflict: one side's version for both.

Both records are locked, FinOps first, and written under our own mark, as when the
engine settles by itself; changes still in flight then find nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from syncengine.agreement import differing, mapped_row, present_value
from syncengine.connectors.base import Operation, OperationKind, Writer
from syncengine.contests import (
    Contest,
    Pair,
    lock_pair,
    make,
    paths_of,
    remove,
    rows_by_side,
    write_held,
)
from syncengine.errors import EngineError
from syncengine.mapping.compiled import CompiledLeg, Row, named_values
from syncengine.mapping.model import Side
from syncengine.record_keys import as_written

Values = Mapping[str, str | None]
Versions = Mapping[Side, Values | None]
"""By side, a record's values by column path; None where the side lacks it."""


class ChangedSinceError(EngineError):
    """The record is no longer as it was when the conflict was settled. `present` has
    the contested values now (empty: the record is there; None: it is not)."""

    code = "conflict_changed"

    def __init__(self, message: str, present: Versions) -> None:
        super().__init__(message)
        self.present = present


@dataclass(frozen=True)
class Decision:
    """Which side's version both sides get.

    `legs` by the side they write. `logged` are both versions when they conflicted;
    `columns` the contested ones on each side (none: the record itself). `in_force` is
    the side whose version holds on both since then, None while undecided. With `seen`
    the contested values must be these, instead of what the log makes expect.
    """

    map_id: int
    legs: Mapping[Side, CompiledLeg]
    keys: Mapping[Side, Row]
    columns: Mapping[Side, tuple[str, ...]]
    logged: Versions
    in_force: Side | None
    side: Side
    seen: Versions | None = None


def decide(decision: Decision, writers: Mapping[Side, Writer]) -> None:
    """Write the chosen version to both sides. Raises ChangedSinceError when the
    contested values changed meanwhile, RecordError when a side cannot take the value,
    TransientError when a lock is not to be had, OutageError."""
    side = decision.side
    leg, reverse = decision.legs[side.other], decision.legs[side]
    contest = Contest(
        map_id=decision.map_id,
        leg=leg,
        reverse=reverse,
        source_key=decision.keys[side],
        target_key=decision.keys[side.other],
        columns=(),
    )
    with ExitStack() as stack:
        pair = lock_pair(contest, writers, stack)
        rows = rows_by_side(contest, pair)
        present = contested(decision, rows)
        if not _as_expected(decision, contest, pair, present):
            raise ChangedSinceError(
                "The record was changed since: nothing was written.", present
            )
        if decision.columns[side]:
            _write_columns(decision, contest, pair, rows)
        elif decision.logged[side] is None:
            remove(contest, pair)
        else:
            _write_record(decision, contest, pair)


def contested(decision: Decision, rows: Versions) -> dict[Side, Values | None]:
    """The contested values of both rows."""
    return {
        side: None
        if row is None
        else {name: row.get(name) for name in decision.columns[side]}
        for side, row in rows.items()
    }


def _as_expected(
    decision: Decision, contest: Contest, pair: Pair, present: Versions
) -> bool:
    if decision.seen is not None:
        return dict(decision.seen) == dict(present)
    logged = contested(decision, decision.logged)
    if decision.in_force is None:
        return logged == present
    if present[decision.in_force] != logged[decision.in_force]:
        return False
    apart = differing(
        contest.leg, decision.legs[decision.side], pair.source.row, pair.target.row
    )
    slots = _slots(contest.leg, decision.columns[decision.side.other])
    return None not in apart and slots.isdisjoint(apart)


def _slots(leg: CompiledLeg, columns: tuple[str, ...]) -> set[int]:
    wanted = set(columns)
    return {
        index
        for index in range(len(leg.slots))
        if not wanted.isdisjoint(paths_of(leg, {index}))
    }


def _write_columns(
    decision: Decision, contest: Contest, pair: Pair, rows: Versions
) -> None:
    side = decision.side
    leg, reverse = contest.leg, decision.legs[side]
    row, logged = rows[side], decision.logged[side]
    if row is None or rows[side.other] is None or logged is None:
        raise ChangedSinceError(
            "One side no longer has the record: nothing was written.",
            contested(decision, rows),
        )
    version = logged
    chosen = dict(row) | {name: version.get(name) for name in decision.columns[side]}
    source_row = tuple(chosen[path] for path in leg.source_paths)
    mapped = mapped_row(leg, source_row)
    _write(pair, side.other, leg, mapped, _slots(leg, decision.columns[side.other]))
    if chosen != dict(row):
        own = [present_value(slot, chosen, None) for slot in reverse.slots]
        key = as_written(reverse, leg, decision.keys[side])
        for index, value in zip(reverse.key, key, strict=True):
            own[index] = value
        _write(pair, side, reverse, tuple(own), _slots(reverse, decision.columns[side]))


def _write(pair: Pair, side: Side, leg: CompiledLeg, row: Row, slots: set[int]) -> None:
    wanted = slots.union(leg.key)
    if leg.company is not None:
        wanted.add(leg.company)
    operation = Operation(
        leg=leg,
        kind=OperationKind.UPSERT,
        key=leg.key_of(row),
        row=tuple(value if i in wanted else None for i, value in enumerate(row)),
        force=True,
        only=frozenset(slots),
    )
    write_held(pair.by_side[side], operation)


def _write_record(decision: Decision, contest: Contest, pair: Pair) -> None:
    """Make the record anew where it is gone, as it was."""
    side = decision.side
    leg, reverse = contest.leg, decision.legs[side]
    logged = decision.logged[side]
    if logged is None:
        return
    mapped = mapped_row(leg, tuple(logged.get(path) for path in leg.source_paths))
    if pair.target.row is None:
        make(pair.target, leg, mapped)
    if pair.source.row is None:
        there = named_values(leg.slots, mapped)
        back = mapped_row(
            reverse, tuple(there.get(path) for path in reverse.source_paths)
        )
        own = tuple(
            present_value(slot, logged, value)
            for slot, value in zip(reverse.slots, back, strict=True)
        )
        make(pair.source, reverse, own)
