"""Writes a unit on both sides with two-phase commit, or on neither.

Rows are locked and written on their side; the maps carry them as the stream would,
from the image before to the image after, so that nothing else on the other side is
touched and whatever meets is found. Both sides write under our mark: the streams see
nothing of it. Then both prepare, the decision is made durable, and both commit. A crash
anywhere leaves prepared parts that `resolve` ends as decided; without a decision they
are undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from itertools import groupby

from syncengine.atomic.model import (
    MOST_RECORDS,
    AtomicUnit,
    DecisionLog,
    UnitRecord,
    UnitRefused,
    UnitResult,
    UnitState,
)
from syncengine.connectors.base import (
    Change,
    ChangeKind,
    Connector,
    Outcome,
    OutcomeKind,
    Transaction,
    WriteRefused,
)
from syncengine.connectors.branch import Branch, RowWrite, TwoPhase, WrittenRow
from syncengine.errors import EngineError, TransientError
from syncengine.live.folding import Folded, fold
from syncengine.live.legs import LiveLeg, LookupCache
from syncengine.live.routing import Router
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import Side
from syncengine.ports import LegConfiguration, LegMode

Step = Callable[[str], None]
Counts = dict[Side, Counter[str]]

STEPS = (
    "begun",
    "written",
    "first prepared",
    "both prepared",
    "decided",
    "first committed",
    "both committed",
)
"""What `at` is called with, in this order."""


def write_unit(
    unit: AtomicUnit,
    link: str,
    connectors: Mapping[Side, Connector],
    legs: Sequence[CompiledLeg],
    log: DecisionLog,
    *,
    at: Step = lambda step: None,
) -> UnitResult:
    """Write the unit, which `log` knows as `preparing`. `legs` are all that are live,
    of both directions.

    Raises UnitRefused where it was written nowhere, and OutageError where the log could
    not be asked: then only `resolve` knows how it ended.
    """
    _check(unit)
    with ExitStack() as stack:
        phases = {
            side: stack.enter_context(closing(connectors[side].two_phase(link)))
            for side in Side
        }
        written = _prepared(unit, phases, legs, log, at)
        at("both prepared")
        if not log.decide(unit.name):
            _undo(unit.name, phases.values())
            raise UnitRefused(
                "The unit took too long and was given up.",
                code="unit_timed_out",
                retryable=True,
            )
        at("decided")
        return UnitResult(_commit(unit.name, phases, log, at), written)


def _check(unit: AtomicUnit) -> None:
    if not unit.records:
        raise UnitRefused("The unit has no records.", code="unit_empty")
    if len(unit.records) > MOST_RECORDS:
        raise UnitRefused(
            f"The unit has {len(unit.records):,} records; {MOST_RECORDS:,} are the "
            "most. Split it where parts may stand alone.",
            code="unit_too_large",
        )


# -- both sides written and prepared ----------------------------------------------


def _prepared(
    unit: AtomicUnit,
    phases: Mapping[Side, TwoPhase],
    legs: Sequence[CompiledLeg],
    log: DecisionLog,
    at: Step,
) -> Counts:
    begun: list[TwoPhase] = []
    try:
        with ExitStack() as stack:
            branches = {
                side: stack.enter_context(phases[side].begin(unit.seconds))
                for side in Side
            }
            at("begun")
            written = _written(unit, branches, legs)
            at("written")
            for side in Side:
                begun.append(phases[side])
                branches[side].prepare(unit.name)
                if side is not list(Side)[-1]:
                    at("first prepared")
        return written
    except (EngineError, WriteRefused) as error:
        _undo(unit.name, begun)
        log.abort(unit.name)
        raise _refused(error) from error


def _undo(name: str, phases: Iterable[TwoPhase]) -> None:
    """What cannot be reached now is undone by `resolve`."""
    for phase in phases:
        with suppress(EngineError):
            phase.rollback(name)


def _refused(error: EngineError | WriteRefused) -> EngineError:
    if isinstance(error, WriteRefused):
        outcome = error.outcome
        return UnitRefused(
            outcome.message,
            code=outcome.code,
            record=outcome.reference,
            column=outcome.column,
            remote=outcome.remote,
        )
    if isinstance(error, UnitRefused):
        return error
    return UnitRefused(
        error.message,
        code=error.code,
        remote=error.remote,
        retryable=isinstance(error, TransientError),
    )


def _written(
    unit: AtomicUnit, branches: Mapping[Side, Branch], legs: Sequence[CompiledLeg]
) -> Counts:
    counts: Counts = {side: Counter() for side in Side}
    carried: dict[Side, list[WrittenRow]] = {side: [] for side in Side}
    numbered = list(enumerate(unit.records))
    for side, group in groupby(numbered, lambda one: one[1].side):
        rows = [_row(number, record) for number, record in group]
        done = branches[side].write(rows)
        for row in done:
            counts[side][_what(row)] += 1
        carried[side] += [row for row in done if unit.records[row.reference].carry]
    for side in Side:
        if carried[side]:
            counts[side.other].update(
                _carry(side, carried[side], branches, legs, unit.records)
            )
    return counts


def _row(number: int, record: UnitRecord) -> RowWrite:
    return RowWrite(record.kind, record.table, record.key, record.values, number)


def _what(row: WrittenRow) -> str:
    if row.old is None:
        return "inserted"
    return "deleted" if row.new is None else "updated"


# -- what the maps make of it -----------------------------------------------------


def _carry(
    side: Side,
    rows: Sequence[WrittenRow],
    branches: Mapping[Side, Branch],
    legs: Sequence[CompiledLeg],
    records: Sequence[UnitRecord],
) -> Counter[str]:
    """Write what the running maps make of these rows to the other side."""
    cache, by_table = _live_legs(side, legs)
    for row in rows:
        if row.relation.table not in by_table:
            raise UnitRefused(
                f"No running map carries {row.relation.table} over.",
                code="map_missing",
                record=row.reference,
            )
    router = Router(branches[side].reader, cache, None)
    router.use(by_table)
    routed = router.route([_transaction(row) for row in rows])
    for row, one in zip(rows, routed, strict=True):
        for item in one.items:
            if item.refusal is not None:
                raise UnitRefused(
                    item.refusal.message,
                    code=item.refusal.code,
                    record=row.reference,
                    column=item.refusal.column,
                )
    folded = fold(item for one in routed for item in one.items)
    outcomes = branches[side.other].apply([found.operation for found in folded])
    origin = {
        id(item): row.reference
        for row, one in zip(rows, routed, strict=True)
        for item in one.items
    }
    for outcome in outcomes:
        _judge(outcome, folded[outcome.reference], origin)
    return Counter(outcome.kind.value for outcome in outcomes)


def _live_legs(
    side: Side, legs: Sequence[CompiledLeg]
) -> tuple[LookupCache, dict[str, tuple[LiveLeg, ...]]]:
    cache = LookupCache()
    by_table: dict[str, tuple[LiveLeg, ...]] = {}
    for number, compiled in enumerate(legs):
        if compiled.direction.source is not side:
            continue
        configuration = LegConfiguration(
            leg_id=number,
            map_id=number,
            direction=compiled.direction,
            mode=LegMode.LIVE,
            table_map=compiled.table_map,
        )
        resolved = [cache.table(lookup) for lookup in compiled.source_lookups]
        live = LiveLeg(configuration, compiled, resolved)
        table = compiled.source.name
        by_table[table] = (*by_table.get(table, ()), live)
    return cache, by_table


def _transaction(row: WrittenRow) -> Transaction:
    if row.old is None:
        kind = ChangeKind.INSERT
    else:
        kind = ChangeKind.DELETE if row.new is None else ChangeKind.UPDATE
    change = Change(row.relation, kind, row.new, row.old)
    # A position after every queue's: nothing of it is queued already.
    return Transaction("~", f"unit {row.reference}", datetime.now(UTC), [change], 0)


def _judge(outcome: Outcome, found: Folded, origin: Mapping[int, int]) -> None:
    record = origin[id(found.items[-1])]
    if outcome.kind is OutcomeKind.FAILED:
        raise UnitRefused(
            outcome.message,
            code=outcome.code,
            record=record,
            column=outcome.column,
            remote=outcome.remote,
        )
    if outcome.conflicts:
        slot = outcome.conflicts[0].slot
        column = "" if slot is None else found.operation.leg.slots[slot].path
        raise UnitRefused(
            "The record differs on the other side"
            + (f" in {column}" if column else "")
            + ": a change of it may be on its way. Try again in a moment.",
            code="unit_conflict",
            record=record,
            column=column,
            retryable=True,
        )


# -- decided ----------------------------------------------------------------------


def _commit(
    name: str, phases: Mapping[Side, TwoPhase], log: DecisionLog, at: Step
) -> UnitState:
    """Commit both parts; a side that is lost now is committed by `resolve`."""
    try:
        for number, side in enumerate(Side):
            phases[side].commit(name)
            at("both committed" if number else "first committed")
    except EngineError:
        return UnitState.COMMITTING
    log.finish(name)
    return UnitState.COMMITTED
