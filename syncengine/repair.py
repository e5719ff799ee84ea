"""Repair: write one side's rows over what `compare` found (architecture section 9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from syncengine.connectors.base import (
    Connector,
    LoadResult,
    Operation,
    OperationKind,
    Outcome,
    OutcomeKind,
    Writer,
    WriteRefused,
)
from syncengine.counterparts import Counterparts
from syncengine.errors import RecordError, SetupError, TransientError
from syncengine.mapping.compiled import BoundLeg, CompiledLeg, Resolved, Row
from syncengine.mapping.model import Side
from syncengine.reconcile import CompareResult, Comparison, Difference
from syncengine.reconcile_passes import PART_ROWS

BATCH_ROWS = 5_000
ATTEMPTS = 5
Written = TypeVar("Written")
DELETED = (OutcomeKind.DELETED, OutcomeKind.ABSENT)


@dataclass(frozen=True, slots=True)
class RepairFailure:
    """A record that stays out of step; `key` as in `Difference`."""

    key: Row
    code: str
    message: str
    column: str = ""
    remote: str = ""


@dataclass(slots=True)
class RepairResult:
    """What was found, and what was written to the losing side. `extra` records exist
    on the losing side only; they stay unless deleting was asked for."""

    found: CompareResult
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    extra: int = 0
    failures: list[RepairFailure] = field(default_factory=list)


def repair(
    finops: Connector,
    dataverse: Connector,
    to_dataverse: CompiledLeg | None,
    to_finops: CompiledLeg | None,
    *,
    winner: Side,
    writer: Writer,
    keys: Collection[Row] | None = None,
    only: Mapping[Row, Row | None] | None = None,
    delete_extra: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_difference: Callable[[Difference], None] | None = None,
    catch_up: Callable[[], None] | None = None,
    max_examples: int = 20,
    part_rows: int = PART_ROWS,
) -> RepairResult:
    """Write the winner's present rows over records that differ or are missing.

    `writer` writes the losing side. Only columns that flow away from the winner are
    written. `keys` limits the repair to some records (keys as in `Difference`);
    `only` does as well and reads no others: key -> source key, as in `Difference`. The
    rest as in `compare`.
    Repairing again writes nothing new. Raises SetupError `direction_not_mapped` when
    nothing flows from the winner to the other side.
    """
    leg = to_dataverse if winner is Side.FINOPS else to_finops
    if leg is None:
        raise SetupError(
            f"Nothing flows from {winner} in this map, so it cannot win a repair.",
            code="direction_not_mapped",
        )
    sides = Counterparts(finops, dataverse, to_dataverse, to_finops)
    work = _Repair(sides, leg, writer, winner, keys, delete_extra)

    def take(difference: Difference) -> None:
        if on_difference is not None:
            on_difference(difference)
        work.take(difference)

    comparison = Comparison(
        sides,
        max_examples,
        take,
        on_progress,
        catch_up=catch_up,
        part_rows=part_rows,
    )
    found = comparison.run() if only is None else comparison.run_only(only)
    work.result.found = found
    work.flush()
    return work.result


class _Repair:
    """Collects differences and writes them in batches."""

    def __init__(
        self,
        sides: Counterparts,
        leg: CompiledLeg,
        writer: Writer,
        winner: Side,
        keys: Collection[Row] | None,
        delete_extra: bool,
    ) -> None:
        self.result = RepairResult(CompareResult())
        self._sides = sides
        self._leg = leg
        self._writer = writer
        self._left_wins = sides.left_side is winner
        self._keys = None if keys is None else frozenset(keys)
        self._delete_extra = delete_extra
        layout = sides.left_columns if self._left_wins else sides.detail_columns
        self._bound: BoundLeg = leg.bind(layout)
        self._resolved: Resolved = tuple({} for _ in leg.source_lookups)
        self._rows: dict[Row, Row] = {}
        self._extra: list[tuple[Row, Row]] = []

    def take(self, difference: Difference) -> None:
        """Take one difference; writes when enough have come."""
        if self._keys is not None and difference.key not in self._keys:
            return
        ours, theirs = difference.left, difference.right
        if not self._left_wins:
            ours, theirs = theirs, ours
        if ours is not None:
            self._take_row(difference.key, ours)
        elif theirs is not None:
            self.result.extra += 1
            if self._delete_extra:
                self._extra.append((difference.key, self._target_key(theirs)))
        else:
            self._fail(difference.key, "not_comparable", difference.reason)
        if len(self._rows) + len(self._extra) >= BATCH_ROWS:
            self.flush()

    def _take_row(self, key: Row, row: Row) -> None:
        try:
            self._rows[self._bound.map(row, self._resolved)] = key
        except RecordError as error:
            self._fail(key, error.code, error.message, error.column, error.remote)

    def _target_key(self, loser: Row) -> Row:
        """The key of a row of the losing side as that side writes it."""
        if self._left_wins:
            return self._sides.right_own_key(loser)
        return self._sides.left_source_key(loser)

    def flush(self) -> None:
        """Write what has been collected."""
        rows, self._rows = self._rows, {}
        extra, self._extra = self._extra, []
        if rows:
            self._count(rows, self._retried(lambda: self._load(list(rows))))
        if extra:
            self._delete(extra)

    def _load(self, rows: Sequence[Row]) -> LoadResult:
        return self._writer.load(self._leg, rows)

    def _count(self, rows: dict[Row, Row], loaded: LoadResult) -> None:
        self.result.inserted += loaded.inserted
        self.result.updated += loaded.updated
        self.result.unchanged += loaded.unchanged
        for row, outcome in loaded.failures:
            self._refused(rows[row], outcome)

    def _delete(self, extra: Sequence[tuple[Row, Row]]) -> None:
        """Delete together; where the target refuses, each by itself."""
        operations = [
            Operation(
                self._leg, OperationKind.DELETE, key, None, force=True, reference=i
            )
            for i, (_, key) in enumerate(extra)
        ]
        try:
            outcomes = self._retried(lambda: self._apply(operations))
        except WriteRefused as refusal:
            if len(extra) == 1:
                self._refused(extra[0][0], refusal.outcome)
                return
            for one in extra:
                self._delete([one])
            return
        for outcome in outcomes:
            if outcome.kind in DELETED:
                self.result.deleted += 1
            else:
                self._refused(extra[outcome.reference][0], outcome)

    def _apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        return self._writer.apply(operations).outcomes

    def _retried(self, write: Callable[[], Written]) -> Written:
        for _ in range(ATTEMPTS - 1):
            try:
                return write()
            except TransientError:
                continue
        return write()

    def _refused(self, key: Row, outcome: Outcome) -> None:
        self._fail(key, outcome.code, outcome.message, outcome.column, outcome.remote)

    def _fail(
        self, key: Row, code: str, message: str, column: str = "", remote: str = ""
    ) -> None:
        self.result.failures.append(RepairFailure(key, code, message, column, remote))
