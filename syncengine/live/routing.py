"""What each change means for each leg of its table: write, queue, fail or nothing.

Rules: architecture section 6, step 2 and the list below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from syncengine.connectors.base import (
    Change,
    ChangeKind,
    OperationKind,
    Reader,
    Transaction,
    is_part,
)
from syncengine.errors import EngineError, RecordError
from syncengine.live.drifting import Suspicion
from syncengine.live.legs import Layout, LiveLeg, LookupCache, collect_references
from syncengine.live.open_errors import OpenErrors
from syncengine.live.outdated import PresentRows, filled, without
from syncengine.mapping.compiled import BoundLeg, Lookup, Resolved, Row
from syncengine.mapping.dangling import shown_key
from syncengine.mapping.model import OnFilterExit
from syncengine.ports import LegMode, QueuedEntry


@dataclass(slots=True)
class Refusal:
    """Why a record cannot be carried over."""

    code: str
    message: str
    column: str = ""
    remote: str = ""
    references: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Item:
    """One change as one leg carries it. `base` is the mapped before-image (None: the
    whole row is written). `refusal` is set when it could not even be mapped."""

    leg: LiveLeg
    kind: OperationKind
    source_key: Row
    columns: tuple[str, ...]
    source_row: Row
    key: Row = ()
    row: Row | None = None
    base: Row | None = None
    force: bool = False
    refusal: Refusal | None = None
    parked: bool = False
    ordinal: int = 0
    position: str = ""
    """Of its transaction; empty for a retry, which carries the present row."""


@dataclass(slots=True)
class Routed:
    """A source transaction, or a portion of a large one, after routing."""

    position: str
    transaction: Transaction
    items: list[Item] = field(default_factory=list)
    queued: list[QueuedEntry] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)


class Router:
    """Routes transactions to the legs of one stream. `ahead` gives those that were
    received after the ones being routed; without `errors` no record has one."""

    def __init__(
        self,
        reader: Reader,
        cache: LookupCache,
        errors: OpenErrors | None,
        ahead: Callable[[], Sequence[Transaction]] = list,
        *,
        suspicion: Suspicion | None = None,
    ) -> None:
        self._reader = reader
        self._suspicion = suspicion or Suspicion(lambda _: False)
        self._present = PresentRows(reader)
        self._cache = cache
        self._errors = errors
        self._ahead = ahead
        self.legs: Mapping[str, Sequence[LiveLeg]] = {}
        self._lookup_tables: frozenset[str] = frozenset()

    def use(self, legs: Mapping[str, Sequence[LiveLeg]]) -> None:
        """Route to these legs (by source table) from now on."""
        self.legs = legs
        self._lookup_tables = frozenset(
            table
            for group in legs.values()
            for leg in group
            if leg.compiled is not None
            for lookup in leg.compiled.source_lookups
            for table in lookup.all_tables
        )

    @property
    def has_errors(self) -> bool:
        """True when a record has failed: later changes of it go another way."""
        return any(leg.has_errors for group in self.legs.values() for leg in group)

    def route(
        self, transactions: Sequence[Transaction], *, replay: LiveLeg | None = None
    ) -> list[Routed]:
        """Route whole transactions; with `replay`, queued changes of that one leg."""
        for transaction in transactions:
            for change in transaction.changes:
                if change.relation.table in self._lookup_tables:
                    self._forget(change)
                    if change.kind is ChangeKind.INSERT and is_part(
                        transaction.position
                    ):
                        # Nothing of it need be visible before its last portion.
                        self._cache.told(change)
        self._cache.trim()
        self._present.begin(transactions)
        self._look_up(transactions, replay)
        self._look_for_errors(transactions, replay)
        return [self._route(transaction, replay) for transaction in transactions]

    def replay(
        self,
        leg: LiveLeg,
        entries: Sequence[QueuedEntry],
        transactions: Sequence[Transaction],
    ) -> list[Routed]:
        """Route the transactions of queued changes to their leg."""
        if leg.compiled is not None:
            self._cache.learn(leg.compiled, entries)
        return self.route(transactions, replay=leg)

    def _forget(self, change: Change) -> None:
        if change.kind in (ChangeKind.UPDATE, ChangeKind.TRUNCATE):
            self._cache.forget(change.relation.table)

    def _targets(self, change: Change, replay: LiveLeg | None) -> Sequence[LiveLeg]:
        if replay is not None:
            return (replay,)
        return self.legs.get(change.relation.table, ())

    def _look_up(
        self, transactions: Sequence[Transaction], replay: LiveLeg | None
    ) -> None:
        wanted: dict[Lookup, set[str]] = {}
        for transaction in transactions:
            for change in transaction.changes:
                for leg in self._targets(change, replay):
                    if leg.compiled is None or not leg.compiled.source_lookups:
                        continue
                    try:
                        layout = leg.layout(change.relation)
                    except EngineError:
                        continue  # reported when the change itself is routed
                    collect_references(leg, layout, (change.new, change.old), wanted)
        if wanted:
            self._cache.fetch(self._reader, wanted)
            if self._cache.recall(self._reader, wanted, _rows(transactions)):
                self._cache.recall(self._reader, wanted, _rows(self._ahead()))

    def _look_for_errors(
        self, transactions: Sequence[Transaction], replay: LiveLeg | None
    ) -> None:
        """Learn which of the records have an open error, a query for each leg that has
        any."""
        if replay is None and not self.has_errors:
            return
        wanted: dict[int, tuple[LiveLeg, set[Row]]] = {}
        for transaction in transactions:
            for change in transaction.changes:
                for leg in self._targets(change, replay):
                    if leg.has_errors and leg.compiled is not None:
                        _, keys = wanted.setdefault(id(leg), (leg, set()))
                        for row in (change.new, change.old):
                            if row is not None:
                                keys.add(self._source_key(leg, change, row))
        for leg, keys in wanted.values():
            if self._errors is not None:
                self._errors.look_up(leg, keys)

    def _route(self, transaction: Transaction, replay: LiveLeg | None) -> Routed:
        routed = Routed(transaction.position, transaction)
        for ordinal, change in enumerate(transaction.changes):
            for leg in self._targets(change, replay):
                if change.kind is ChangeKind.TRUNCATE:
                    routed.truncated.append(change.relation.table)
                elif replay is not None:
                    self._carry(leg, change, routed, ordinal)
                else:
                    self._dispatch(leg, change, routed, ordinal)
        return routed

    def _dispatch(
        self, leg: LiveLeg, change: Change, routed: Routed, ordinal: int
    ) -> None:
        configuration = leg.configuration
        if routed.position <= configuration.queued_through:
            return
        if configuration.mode is LegMode.OFF:
            return
        if configuration.mode is LegMode.LIVE and leg.compiled is not None:
            self._carry(leg, change, routed, ordinal)
        elif self._concerns(leg, change):
            routed.queued.append(self._entry(leg, change, routed, ordinal))

    # -- queueing -------------------------------------------------------------------

    def _concerns(self, leg: LiveLeg, change: Change) -> bool:
        """False when the change can never matter to the leg: other company, filtered
        out before and after, or no mapped column touched."""
        if leg.compiled is None:
            return True
        try:
            layout = leg.layout(change.relation)
            scope = layout.bound.in_scope
            resolved = leg.resolved
            new, old = change.new, change.old
            if not change.relation.full_identity or layout.lacking:
                return True
            if new is not None and old is not None:
                if not (scope(new, resolved) or scope(old, resolved)):
                    return False
                pick = layout.mapped_values
                return bool(
                    pick(new) != pick(old)
                    or scope(new, resolved) != scope(old, resolved)
                )
            row = new if new is not None else old
            return row is not None and scope(row, resolved)
        except EngineError:
            return True

    def _entry(
        self, leg: LiveLeg, change: Change, routed: Routed, ordinal: int
    ) -> QueuedEntry:
        row = change.new if change.new is not None else change.old
        return QueuedEntry(
            map_id=leg.configuration.map_id,
            direction=leg.configuration.direction,
            position=routed.position,
            ordinal=ordinal,
            transaction_id=routed.transaction.transaction_id,
            committed_at=routed.transaction.committed_at,
            kind=change.kind.value,
            key=self._source_key(leg, change, row or ()),
            columns=change.relation.columns,
            new=change.new,
            old=change.old,
            scope=leg.configuration.scope,
        )

    @staticmethod
    def _source_key(leg: LiveLeg, change: Change, row: Row) -> Row:
        if leg.compiled is None:
            return ()
        try:
            layout = leg.layout(change.relation)
            return layout.bound.source_key(row, leg.resolved)
        except EngineError:
            return ()

    # -- carrying over --------------------------------------------------------------

    def _carry(
        self, leg: LiveLeg, change: Change, routed: Routed, ordinal: int
    ) -> None:
        """Add what the change means for a live leg to `routed`."""
        row = change.new if change.new is not None else change.old
        if row is None:
            return
        try:
            layout = leg.layout(change.relation)
            if layout.lacking:
                self._suspicion.look(leg, "schema_changed")
                item = self._outdated(leg, layout, change)
            else:
                item = self._item(leg, layout, change)
        except EngineError as error:
            routed.items.append(
                Item(
                    leg=leg,
                    kind=OperationKind.UPSERT
                    if change.new is not None
                    else OperationKind.DELETE,
                    source_key=self._source_key(leg, change, row),
                    columns=change.relation.columns,
                    source_row=row,
                    refusal=refusal_of(error),
                    ordinal=ordinal,
                    position=routed.position,
                )
            )
            return
        if item is not None:
            item.ordinal, item.position = ordinal, routed.position
            routed.items.append(item)

    def _item(self, leg: LiveLeg, layout: Layout, change: Change) -> Item | None:
        bound, resolved = layout.bound, leg.resolved
        new, old = change.new, change.old
        full = change.relation.full_identity
        if new is None:
            return None if old is None else self._deleted(leg, layout, change, old)
        enters = bound.in_scope(new, resolved)
        if old is None or not full:
            if not enters:
                return None
            return self._written(leg, layout, change, new, None, force=old is not None)
        was_in = bound.in_scope(old, resolved)
        if not enters:
            return self._left(leg, layout, change, old) if was_in else None
        if not was_in:
            return self._written(leg, layout, change, new, None, force=False)
        if layout.mapped_values(new) == layout.mapped_values(old):
            return None
        return self._written(leg, layout, change, new, old, force=False)

    def _outdated(self, leg: LiveLeg, layout: Layout, change: Change) -> Item | None:
        compiled, resolved = layout.bound.leg, leg.resolved
        row = change.new if change.new is not None else change.old
        if row is None or layout.whole is None:
            return None
        key = layout.bound.source_key(row, resolved)
        present = None
        if change.new is not None:
            present = self._present.row(leg, compiled, key)
            leaves = compiled.table_map.on_filter_exit is OnFilterExit.LEAVE
            if present is None and leaves:
                return None
        if present is None:
            if not layout.bound.company_linked(row, resolved):
                return None
            return Item(
                leg=leg,
                kind=OperationKind.DELETE,
                source_key=key,
                columns=change.relation.columns,
                source_row=row,
                key=layout.bound.key(row, resolved),
                force=True,
            )
        whole = filled(change, layout, compiled, present)
        new, old = whole.new, whole.old
        if (
            new is None
            or old is None
            or not change.relation.full_identity
            or not layout.bound.in_scope(new, resolved)
            or not layout.bound.in_scope(old, resolved)
            or layout.bound.key(new, resolved) != layout.bound.key(old, resolved)
        ):
            return self._item(leg, layout.whole, whole)
        item = self._written(leg, layout.whole, whole, new, None, force=False)
        if item is not None and not item.force:
            item.base = without(layout.bound.map(old, resolved), layout, compiled)
        return item

    def _written(
        self,
        leg: LiveLeg,
        layout: Layout,
        change: Change,
        new: Row,
        old: Row | None,
        *,
        force: bool,
    ) -> Item | None:
        bound, resolved = layout.bound, leg.resolved
        compiled = bound.leg
        mapped = bound.map(new, resolved)
        key = compiled.key_of(mapped)
        base: Row | None = None
        if old is not None:
            _refuse_key_change(bound, old, new, resolved, key)
            try:
                base = bound.map(old, resolved)
            except RecordError:
                force = True
            else:
                if base == mapped:
                    return None
        source_key = bound.source_key(new, resolved)
        if change.incomplete or source_key in leg.open_keys:
            force, base = True, None
        return Item(
            leg=leg,
            kind=OperationKind.UPSERT,
            source_key=source_key,
            columns=change.relation.columns,
            source_row=new,
            key=key,
            row=mapped,
            base=base,
            force=force,
        )

    def _deleted(
        self, leg: LiveLeg, layout: Layout, change: Change, old: Row
    ) -> Item | None:
        bound, resolved = layout.bound, leg.resolved
        if change.relation.full_identity:
            if not bound.in_scope(old, resolved):
                return None
            return self._removal(leg, layout, change, old)
        if not bound.company_linked(old, resolved):
            return None
        item = self._removal(leg, layout, change, old)
        item.force, item.base = True, None
        return item

    def _left(
        self, leg: LiveLeg, layout: Layout, change: Change, old: Row
    ) -> Item | None:
        """A row that stopped matching is left alone or deleted, as the map says."""
        if layout.bound.leg.table_map.on_filter_exit is OnFilterExit.LEAVE:
            return None
        return self._removal(leg, layout, change, old)

    def _removal(self, leg: LiveLeg, layout: Layout, change: Change, old: Row) -> Item:
        bound, resolved = layout.bound, leg.resolved
        source_key = bound.source_key(old, resolved)
        base: Row | None = None
        force = source_key in leg.open_keys
        if not force:
            try:
                base = bound.map(old, resolved)
            except RecordError:
                force = True
        return Item(
            leg=leg,
            kind=OperationKind.DELETE,
            source_key=source_key,
            columns=change.relation.columns,
            source_row=old,
            key=bound.key(old, resolved),
            base=base,
            force=force,
        )


def _rows(transactions: Sequence[Transaction]) -> list[Change]:
    return [
        change
        for transaction in transactions
        if not transaction.large
        for change in transaction.changes
    ]


def refusal_of(error: EngineError) -> Refusal:
    """The refusal an error of the mapping stands for."""
    column = error.column if isinstance(error, RecordError) else ""
    return Refusal(error.code, error.message, column, error.remote)


def _refuse_key_change(
    bound: BoundLeg, old: Row, new: Row, resolved: Resolved, key: Row
) -> None:
    if bound.key(old, resolved) != key:
        raise RecordError(
            "The integration key of the record was changed from "
            f"{shown_key(bound.source_key(old, resolved))} to "
            f"{shown_key(bound.source_key(new, resolved))}. Integration keys "
            "identify the record on both sides and cannot change; change it "
            "back, or delete the record and create it anew.",
            code="key_immutable",
        )
