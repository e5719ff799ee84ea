"""What was carried, for the history: noted in passing, put into words by others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from syncengine.connectors.base import OutcomeKind, Transaction
from syncengine.live.folding import Folded
from syncengine.live.routing import Routed
from syncengine.mapping.compiled import CompiledLeg, Row, named_values
from syncengine.mapping.model import Direction
from syncengine.ports import CarriedChange

WRITTEN = {
    OutcomeKind.INSERTED: "inserted",
    OutcomeKind.UPDATED: "updated",
    OutcomeKind.DELETED: "deleted",
}

MOST = 20_000
"""Records of one commit that are kept in memory for the history."""


class Noted:
    """What one commit wrote of legs with history: the operations themselves, which
    nobody changes after their commit. Beyond `MOST` records are only counted."""

    __slots__ = ("_counts", "_noted", "_transactions", "moment", "phase")

    def __init__(self) -> None:
        self.phase = ""
        self._noted: list[tuple[Folded, str]] = []
        self._counts: Counter[tuple[int, Direction]] = Counter()
        self._transactions: dict[str, Transaction] = {}
        self.moment: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, found: Folded, kind: str) -> None:
        """Take note of one record that was written."""
        leg = found.items[0].leg.configuration
        self._counts[leg.map_id, leg.direction] += 1
        if len(self._noted) < MOST:
            self._noted.append((found, kind))

    def from_(self, batch: Sequence[Routed]) -> None:
        """The transactions that the noted records came in."""
        if self._counts:
            self._transactions.update({one.position: one.transaction for one in batch})

    def counts(self) -> Mapping[tuple[int, Direction], int]:
        """Records by map and direction."""
        return self._counts

    def describe(self) -> Iterator[CarriedChange]:
        """Each record that was kept."""
        for found, kind in self._noted:
            yield self._change(found, kind)

    def _change(self, found: Folded, kind: str) -> CarriedChange:
        first, last = found.items[0], found.items[-1]
        operation, configuration = found.operation, last.leg.configuration
        transaction = self._transactions.get(last.position)
        before, after = _written(
            operation.leg, first.base, operation.row, operation.only, kind
        )
        table_map = configuration.table_map
        return CarriedChange(
            map_id=configuration.map_id,
            direction=configuration.direction,
            version=f"{table_map.publisher} {table_map.version}".strip(),
            kind=kind,
            phase=self.phase,
            position=last.position,
            transaction_id=transaction.transaction_id if transaction else "",
            committed_at=transaction.committed_at
            if transaction
            else self.moment or datetime.now(UTC),
            source_key=last.source_key,
            target_key=operation.key,
            company=operation.leg.company is not None,
            before=before,
            after=after,
            changes=len(found.items),
        )


def _written(
    leg: CompiledLeg,
    base: Row | None,
    row: Row | None,
    only: frozenset[int] | None,
    kind: str,
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """The columns that were written, before and after: of an insert all, of an update
    those that changed."""
    if row is None:
        return ({} if base is None else named_values(leg.slots, base)), {}
    if base is None or kind == "inserted":
        if only is None or kind == "inserted":
            return {}, named_values(leg.slots, row)
        base = None
    chosen = [
        index
        for index in range(len(row))
        if (base is None or base[index] != row[index])
        and (only is None or index in only)
    ]
    slots = [leg.slots[index] for index in chosen]
    after = named_values(slots, [row[index] for index in chosen])
    if base is None:
        return {}, after
    return named_values(slots, [base[index] for index in chosen]), after
