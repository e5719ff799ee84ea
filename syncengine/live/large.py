"""Large source transactions: taken in portions, written as one where that can be.

First all portions go into one transaction of the target, so that its users see all or
nothing, as on the source. If the target refuses a record, or one is contested, that is
undone and the portions are written one by one, each with the position it reaches
(`part_position`): every change once, but visible bit by bit. See ADR 15.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack

from syncengine.connectors.base import (
    OutcomeKind,
    Transaction,
    Unit,
    Writer,
    WriteRefused,
    part_of,
    part_position,
)
from syncengine.connectors.spooling import SpooledChanges
from syncengine.errors import EngineError, TransientError
from syncengine.live.applying import Applier, Done
from syncengine.live.folding import fold
from syncengine.live.routing import Routed, Router
from syncengine.mapping.compiled import CompiledLeg


class Stopped(Exception):
    """Told to stop within a large transaction; what is not stored is read again."""


class SourceLost(Exception):
    """The source failed while a portion was looked at: `error` says how."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(error.message)
        self.error = error


class _NotAsOne(Exception):
    """The target does not take the transaction as it is."""


class LargeTransactions:
    """Applies them one at a time. `keep` puts the queued changes of a portion away;
    `pulse` is called after each portion and may raise Stopped."""

    def __init__(
        self,
        router: Router,
        applier: Applier,
        writer: Writer,
        legs: Callable[[], Collection[CompiledLeg]],
        keep: Callable[[Sequence[Routed]], None],
    ) -> None:
        self._router = router
        self._applier = applier
        self._writer = writer
        self._legs = legs
        self._keep = keep
        self._in_portions = ""

    def apply(
        self,
        transaction: Transaction,
        written: str,
        pulse: Callable[[str], None],
    ) -> None:
        """Apply what lies behind the position `written`. `pulse` hears how far the
        target's position has been moved. Raises like `Applier.apply`."""
        after = part_of(written, transaction.before)
        if not after and self._in_portions != transaction.position:
            try:
                if self._as_one(transaction, pulse):
                    pulse(transaction.position)
                return
            except (_NotAsOne, WriteRefused):
                pass
            except TransientError:
                # Once a lock was in the way of so many rows it may well be again.
                self._in_portions = transaction.position
                raise
        for routed in self._routed(transaction, after):
            if routed.items:
                self._applier.apply([routed])
                pulse(routed.position)
            else:
                pulse("")

    def _as_one(self, transaction: Transaction, pulse: Callable[[str], None]) -> bool:
        """True when something was written."""
        done = self._applier.done()
        with ExitStack() as stack:
            unit: Unit | None = None
            for routed in self._routed(transaction):
                self._applier.park_unmapped(routed, "live")
                if routed.items and unit is None:
                    unit = stack.enter_context(
                        self._writer.unit(transaction.position, self._legs())
                    )
                if unit is not None:
                    _write(unit, routed, done)
                pulse("")
        self._applier.finish(done, "live")
        return unit is not None

    def _routed(self, transaction: Transaction, after: int = 0) -> Iterator[Routed]:
        """The portions in their order; their queued changes are kept."""
        for portion in portions(transaction, after):
            try:
                routed = self._router.route([portion])[0]
            except EngineError as error:
                raise SourceLost(error) from error
            self._keep([routed])
            yield routed


def _write(unit: Unit, routed: Routed, done: Done) -> None:
    folded = fold(routed.items)
    if not folded:
        return
    outcomes = unit.apply([found.operation for found in folded])
    if any(one.conflicts or one.kind is OutcomeKind.FAILED for one in outcomes):
        raise _NotAsOne
    done.note(folded, outcomes, routed.transaction.committed_at)
    done.history.from_([routed])


def portions(transaction: Transaction, after: int = 0) -> Iterator[Transaction]:
    """A large transaction as a series of small ones, without its first changes."""
    changes = transaction.changes
    if not isinstance(changes, SpooledChanges):
        raise TypeError("only large transactions come in portions")
    for count, portion in changes.portions(after):
        yield Transaction(
            position=part_position(transaction.before, count),
            transaction_id=transaction.transaction_id,
            committed_at=transaction.committed_at,
            changes=portion,
            size=0,
        )
