"""Applies routed transactions: all at once, halved on refusal, the refused parked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncengine.awaiting import Arrivals, LegId
from syncengine.connectors.base import (
    ColumnConflict,
    Outcome,
    OutcomeKind,
    Writer,
    WriteRefused,
)
from syncengine.errors import RecordError, TransientError
from syncengine.live.drifting import Suspicion
from syncengine.live.failures import failures_of
from syncengine.live.folding import Folded, fold, unfolded
from syncengine.live.history import WRITTEN, Noted
from syncengine.live.legs import LiveLeg
from syncengine.live.open_errors import OpenErrors
from syncengine.live.routing import Item, Refusal, Routed
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.ports import Journal

Settle = Callable[[Folded, Outcome], frozenset[int] | None]
"""Settles the conflicts of one record; gives the slots that are settled, or None when
the record itself was (nothing is left to write for it)."""

Contested = Callable[[Folded, Sequence[ColumnConflict], Sequence[Folded]], None]
"""Hears of the conflicts of one record of a batch before they are settled."""

Place = tuple[str, int]
"""Where in the source's log a change is: its transaction's position, its ordinal."""

_FIRST: Place = ("", -1)


def _place(item: Item) -> Place:
    return item.position, item.ordinal


@dataclass
class Tally:
    """What was written since the last report, by map."""

    written: dict[int, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    last_change: dict[int, datetime] = field(default_factory=dict)
    woken: bool = False
    """Records that waited for one that was written are due for a retry."""


@dataclass
class Done:
    """What committed operations came to: counts and moments by map, errors that they
    close by leg, tokens of records that others wait for, and legs of records that may
    not be referred to any more."""

    arrivals: Arrivals
    parked: Mapping[tuple[int, Row], Place] = field(default_factory=dict)
    written: dict[int, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    last_change: dict[int, datetime] = field(default_factory=dict)
    closed: dict[int, tuple[LiveLeg, dict[Row, str]]] = field(default_factory=dict)
    awaited: dict[LegId, set[str]] = field(default_factory=dict)
    freed: set[LegId] = field(default_factory=set)
    described: bool = True
    history: Noted = field(init=False)

    def __post_init__(self) -> None:
        self.history = Noted(self.written, described=self.described)

    def note(
        self, folded: Sequence[Folded], outcomes: Sequence[Outcome], moment: datetime
    ) -> None:
        """Add the outcomes of one write."""
        arrived: list[Folded] = []
        history = self.history
        records, maps, described = history.records, history.maps, history.described
        for outcome in outcomes:
            found = folded[outcome.reference]
            leg = found.items[0].leg
            name = WRITTEN.get(outcome.kind)
            if name is not None:
                map_id = leg.configuration.map_id
                self.written[map_id][name] += 1
                self.last_change[map_id] = moment
                arrived.append(found)
                if leg.configuration.history:
                    maps.add(map_id)
                    history.direction = leg.configuration.direction
                    if described:
                        records.append((found, name))
            key = found.items[-1].source_key
            if name is not None:
                leg.written.add(key)
                if name != "inserted" and self.arrivals.waiting:
                    self.freed.update(self.arrivals.freed_by(found.operation.leg))
            if leg.undecided and key in leg.undecided:
                leg.touched.add(key)
            if leg.open_keys:
                self.close(found)
        self.arrive(arrived)

    def close(self, found: Folded) -> None:
        """The record of an operation is as it should be: so is its error, unless that
        is about a later change of the record."""
        last = found.items[-1]
        leg, key = last.leg, last.source_key
        if key not in leg.open_keys:
            return
        if last.position and self.parked.get((id(leg), key), _FIRST) > _place(last):
            return
        self.closed.setdefault(id(leg), (leg, {}))[1][key] = last.position

    def arrive(self, arrived: Sequence[Folded]) -> None:
        """Records are there that others may wait for; costs nothing while none do."""
        if not self.arrivals.waiting:
            return
        rows: dict[int, tuple[CompiledLeg, list[Row]]] = {}
        for found in arrived:
            operation = found.operation
            if operation.row is not None:
                leg = operation.leg
                rows.setdefault(id(leg), (leg, []))[1].append(operation.row)
        for leg, written in rows.values():
            for leg_id, tokens in self.arrivals.of(leg, written).items():
                self.awaited.setdefault(leg_id, set()).update(tokens)


class Applier:
    """Applies batches of one stream. `position` false leaves the stream's stored
    position alone (replays from the journal)."""

    def __init__(
        self,
        writer: Writer,
        journal: Journal,
        settle: Settle,
        tally: Tally,
        errors: OpenErrors,
        contested: Contested,
        suspicion: Suspicion,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._contested = contested
        self._meanwhile = meanwhile
        self._suspicion = suspicion
        self._writer = writer
        self._journal = journal
        self._errors = errors
        self._settle = settle
        self._tally = tally
        self._parked: dict[tuple[int, Row], Place] = {}

    def apply(
        self, batch: Sequence[Routed], *, phase: str = "live", position: bool = True
    ) -> None:
        """Apply all; on return every record is written, settled or in the journal.

        Raises OutageError, TransientError or TablesChanged; then part of the batch may
        be applied, and applying it again is harmless.
        """
        work = _Work(phase, position)
        self._parked.clear()
        for routed in batch:
            self.park_unmapped(routed, phase)
        if phase != "retry":
            self._expect_closing(batch)
        self._apply(batch, work)

    def _expect_closing(self, batch: Sequence[Routed]) -> None:
        """What closes an error is committed on the target first: should the journal
        not hear of it any more, a retry finds the record as it should be."""
        expected: dict[int, tuple[LiveLeg, set[Row]]] = {}
        for routed in batch:
            for item in routed.items:
                if item.source_key in item.leg.open_keys and not item.parked:
                    keys = expected.setdefault(id(item.leg), (item.leg, set()))[1]
                    keys.add(item.source_key)
        for leg, keys in expected.values():
            self._journal.retry_unless_closed(*leg.id, sorted(keys, key=str))

    def park_unmapped(self, routed: Routed, phase: str) -> None:
        """Put records that could not even be mapped into the error list."""
        if any(item.refusal is not None for item in routed.items):
            self._park(routed, {}, _Work(phase, position=False))

    def _apply(self, batch: Sequence[Routed], work: _Work) -> None:
        while True:
            folded = fold(item for routed in batch for item in routed.items)
            if not self._attempt(batch, folded, work):
                return

    def _attempt(
        self, batch: Sequence[Routed], folded: list[Folded], work: _Work
    ) -> bool:
        """One attempt; True when the batch must be tried again without those parked."""
        if not folded and not (work.position and any(r.items for r in batch)):
            return False
        try:
            settled = self._write(batch, folded, work, strict=False)
        except WriteRefused as refused:
            if not folded:
                raise TransientError(
                    refused.outcome.message,
                    code=refused.outcome.code,
                    remote=refused.outcome.remote,
                ) from refused
            if len(batch) > 1:
                middle = len(batch) // 2
                self._apply(batch[:middle], work)
                self._apply(batch[middle:], work)
            else:
                self._apply_alone(batch[0], work)
            return False
        if settled is None:
            return False
        if len(batch) > 1 and any(len(found.items) > 1 for found, _ in settled):
            middle = len(batch) // 2
            self._apply(batch[:middle], work)
            self._apply(batch[middle:], work)
            return False
        self._park_failed(batch, settled, work)
        return True

    def _write(
        self,
        batch: Sequence[Routed],
        folded: list[Folded],
        work: _Work,
        *,
        strict: bool,
    ) -> list[tuple[Folded, Outcome]] | None:
        """Write; None when committed, else the operations that failed."""
        position = batch[-1].position if work.position else None
        operations = [found.operation for found in folded]
        while True:
            result = self._writer.apply(
                operations,
                position=position,
                strict=strict,
                meanwhile=self._meanwhile if work.position else None,
            )
            if result.committed:
                self._committed(batch, folded, result.outcomes, work)
                return None
            failed: list[tuple[Folded, Outcome]] = []
            dropped: set[int] = set()
            for outcome in result.outcomes:
                found = folded[outcome.reference]
                if outcome.kind is OutcomeKind.FAILED:
                    failed.append((found, outcome))
                elif outcome.conflicts:
                    self._contested(found, outcome.conflicts, folded)
                    try:
                        self._settled(found, outcome, dropped, work)
                    except RecordError as error:
                        failed.append((found, _failed(outcome, error)))
            if failed:
                return failed
            operations = [o for o in operations if o.reference not in dropped]

    def _settled(
        self, found: Folded, outcome: Outcome, dropped: set[int], work: _Work
    ) -> None:
        slots = self._settle(found, outcome)
        last = found.items[-1]
        last.leg.written.add(last.source_key)
        if slots is None:
            dropped.add(outcome.reference)
            done = self.done()
            done.close(found)
            # A record that was deleted here may have come back with it.
            done.arrive([found])
            self.finish(done, work.phase)
            return
        operation = found.operation
        every = operation.only
        if every is None:
            every = frozenset(range(len(operation.leg.slots)))
        operation.only = every - slots

    def _apply_alone(self, routed: Routed, work: _Work) -> None:
        """One refused transaction: in strict order, then without whom it refuses."""
        while True:
            single = unfolded(routed.items)
            if not single:
                self._attempt([routed], [], work)
                return
            try:
                failed = self._write([routed], single, work, strict=True)
            except WriteRefused as refused:
                refusals = self._who(single, refused.outcome)
                self._park(routed, refusals, work)
                continue
            if failed is None:
                return
            self._park_failed([routed], failed, work)

    def _who(self, single: list[Folded], outcome: Outcome) -> dict[Item, Refusal]:
        """The records a refused transaction is refused for; all when none alone."""
        operations = [found.operation for found in single]
        found = [
            one
            for one in self._writer.probe(operations)
            if one.kind is OutcomeKind.FAILED
        ]
        if not found:
            reason = _refusal(outcome)
            return {one.items[0]: reason for one in single}
        return {single[one.reference].items[0]: _refusal(one) for one in found}

    def _park_failed(
        self,
        batch: Sequence[Routed],
        failed: Sequence[tuple[Folded, Outcome]],
        work: _Work,
    ) -> None:
        refusals = {
            item: _refusal(outcome) for found, outcome in failed for item in found.items
        }
        for routed in batch:
            if any(item in refusals for item in routed.items):
                self._park(routed, refusals, work)

    def _park(self, routed: Routed, refusals: dict[Item, Refusal], work: _Work) -> None:
        for item, refusal in refusals.items():
            self._suspicion.look(item.leg, refusal.code)
        for item in routed.items:
            if item.refusal is not None and not item.parked:
                self._suspicion.look(item.leg, item.refusal.code)
        failures = failures_of(routed, refusals, work.phase)
        if failures:
            self._journal.record_failures(failures)
            for item in routed.items:
                if item.parked:
                    key = id(item.leg), item.source_key
                    self._parked[key] = max(self._parked.get(key, _FIRST), _place(item))
        for failure in failures:
            if failure.awaits:
                self._errors.arrivals.waiting.add((failure.map_id, failure.direction))

    def _committed(
        self,
        batch: Sequence[Routed],
        folded: Sequence[Folded],
        outcomes: Sequence[Outcome],
        work: _Work,
    ) -> None:
        done = self.done()
        done.note(folded, outcomes, batch[-1].transaction.committed_at)
        done.history.from_(batch)
        self.finish(done, work.phase)

    def done(self) -> Done:
        """To be filled with what is committed."""
        keeps = self._journal.keeps_history()
        return Done(self._errors.arrivals, self._parked, described=keeps)

    def finish(self, done: Done, phase: str) -> None:
        """Count what was committed, close the errors it settles, and let records go on
        that waited for what it brought."""
        if done.history:
            done.history.phase, done.history.moment = phase, datetime.now(UTC)
            self._journal.carried(done.history)
        for map_id, counts in done.written.items():
            self._tally.written[map_id].update(counts)
        self._tally.last_change.update(done.last_change)
        self._errors.freed |= done.freed
        for leg_id, tokens in done.awaited.items():
            self._errors.wake(leg_id, tokens)
            self._tally.woken = True
        for leg, keys in done.closed.values():
            self._journal.close_failures(
                leg.configuration.map_id,
                leg.configuration.direction,
                list(keys),
                "resolved" if phase == "retry" else "superseded",
                through=list(keys.values()),
            )
            leg.open_keys.difference_update(keys)
            # Held records of the same transaction may be due now.
            self._tally.woken = True


@dataclass(frozen=True, slots=True)
class _Work:
    phase: str
    position: bool


def _failed(outcome: Outcome, error: RecordError) -> Outcome:
    """The outcome of a record whose conflict cannot be settled."""
    return Outcome(
        outcome.reference,
        OutcomeKind.FAILED,
        code=error.code,
        column=error.column,
        message=error.message,
        remote=error.remote,
    )


def _refusal(outcome: Outcome) -> Refusal:
    return Refusal(
        outcome.code,
        outcome.message,
        outcome.column,
        outcome.remote,
        outcome.references,
    )
