"""What was carried, for the history: noted in passing, put into words by others."""

from __future__ import annotations

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
    nobody changes after their commit. Beyond `MOST`, and where not `described`, records
    are only counted. Noting a record is two calls and nothing else: it is done for each
    that is written."""

    __slots__ = (
        *("_batches", "_full", "described", "direction", "maps", "moment", "phase"),
        *("records", "written"),
    )

    def __init__(
        self, written: Mapping[int, Mapping[str, int]], *, described: bool = True
    ) -> None:
        self.described = described
        self.direction: Direction | None = None
        self.phase = ""
        self.records: list[tuple[Folded, str]] = []
        self.maps: set[int] = set()
        self.written = written
        self.moment: datetime | None = None
        self._full = False
        self._batches: list[Sequence[Routed]] = []

    def __bool__(self) -> bool:
        return bool(self.maps)

    def from_(self, batch: Sequence[Routed]) -> None:
        """The transactions that the records noted since the last call came in. Once
        enough are noted neither records nor transactions are kept: those of a large
        transaction would not fit into memory."""
        if self.records and not self._full:
            self._batches.append(batch)
            self._full = len(self.records) >= MOST
        del self.records[MOST:]

    def counts(self) -> Mapping[tuple[int, Direction], int]:
        """Records by map and direction."""
        direction = self.direction
        if direction is None:
            return {}
        return {
            (map_id, direction): sum(self.written[map_id].values())
            for map_id in self.maps
        }

    def describe(self) -> Iterator[CarriedChange]:
        """Each record that was kept."""
        transactions = {
            one.position: one.transaction for batch in self._batches for one in batch
        }
        for found, kind in self.records:
            yield self._change(found, kind, transactions)

    def _change(
        self, found: Folded, kind: str, transactions: Mapping[str, Transaction]
    ) -> CarriedChange:
        first, last = found.items[0], found.items[-1]
        operation, configuration = found.operation, last.leg.configuration
        transaction = transactions.get(last.position)
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
