"""The initial copy: existing rows of one leg, chunk by chunk (architecture section 7).

A chunk may be copied any number of times, by any worker: rows that are already equal
on the target are not written again. Memory stays flat: one batch is loaded while the
next one is read and mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from syncengine.awaiting import awaited
from syncengine.connectors.base import (
    ChunkRange,
    Connector,
    LoadResult,
    Outcome,
    ReadRequest,
    Writer,
)
from syncengine.errors import RecordError, TransientError
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    Resolved,
    Row,
    named_values,
    salvaged_values,
)
from syncengine.mapping.model import Side
from syncengine.ports import Journal, RecordFailure

BATCH_ROWS = 10_000
CHUNK_ROWS = 50_000
FETCH_ROWS = 2_000
"""How many deferred rows are read and loaded at once."""
LOAD_ATTEMPTS = 5
"""How often a batch is tried when the target reports a deadlock or the like."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Deferred:
    """Source keys of rows that wait for a reference: those in `begun` were inserted
    without it, those in `left` were there already and wait as they are."""

    begun: list[Row] = field(default_factory=list)
    left: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.begun or self.left)


@dataclass(slots=True)
class ChunkResult:
    """What became of the rows of a chunk; exported is the sum of the five others.
    `skipped` are rows that were there already and were to be left alone. Deferred rows
    are not counted before `complete_rows` has loaded them again."""

    exported: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    deferred: Deferred = field(default_factory=Deferred)

    def add(self, loaded: LoadResult, refused: int, *, insert_only: bool) -> None:
        """Count one batch: what the target took and what never reached it."""
        failed = len(loaded.failures) + refused
        self.inserted += loaded.inserted
        self.updated += loaded.updated
        if insert_only:
            self.skipped += loaded.unchanged
        else:
            self.unchanged += loaded.unchanged
        self.failed += failed
        self.exported += loaded.inserted + loaded.updated + loaded.unchanged + failed

    def join(self, other: ChunkResult) -> None:
        """Count what became of more rows."""
        self.exported += other.exported
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.skipped += other.skipped
        self.failed += other.failed


def deferrable(leg: CompiledLeg, tables: Collection[str] = ()) -> frozenset[int]:
    """Slots whose reference may be filled after the row itself: those that lead to
    the leg's own table or to one of `tables`, may be empty, and are no key."""
    others = {leg.target.name, *tables}
    return frozenset(
        index
        for index, slot in enumerate(leg.slots)
        if slot.lookup is not None
        and slot.nullable
        and index not in leg.key
        and index != leg.company
        and others.intersection(slot.lookup.tables)
    )


def source_companies(leg: CompiledLeg, legal_entity: str | None) -> tuple[str, ...]:
    """Company codes on the leg's source: all linked ones, or the one whose FinOps
    code is `legal_entity`."""
    if not legal_entity:
        return tuple(leg.companies)
    if leg.direction.source is Side.FINOPS:
        return tuple(code for code in leg.companies if code == legal_entity)
    return tuple(code for code, to in leg.companies.items() if to == legal_entity)


def has_rows(leg: CompiledLeg, legal_entity: str | None = None) -> bool:
    """False when the leg is company-specific and no such company is linked."""
    return leg.source_company is None or bool(source_companies(leg, legal_entity))


def read_request(leg: CompiledLeg, legal_entity: str | None = None) -> ReadRequest:
    """The read that gives the leg's rows in scope, ready for `leg.bind`."""
    return ReadRequest(
        table=leg.source.name,
        columns=leg.source_paths,
        lookups=leg.source_lookups,
        key=leg.source_key,
        predicate=leg.predicate_expression,
        company=leg.source_company,
        companies=source_companies(leg, legal_entity),
    )


def plan_leg(
    source: Connector,
    leg: CompiledLeg,
    legal_entity: str | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Sequence[ChunkRange]:
    """Cut the leg's rows in scope (of one company, by its FinOps code) into chunks."""
    if not has_rows(leg, legal_entity):
        return ()
    with source.reader() as reader:
        return reader.plan(read_request(leg, legal_entity), chunk_rows)


def copy_chunk(
    source: Connector,
    writer: Writer,
    leg: CompiledLeg,
    chunk: ChunkRange | None,
    *,
    map_id: int,
    journal: Journal,
    legal_entity: str | None = None,
    insert_only: bool = False,
    ignore_failed: bool = False,
    defer: frozenset[int] = frozenset(),
    progress: Callable[[ChunkResult], None] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ChunkResult:
    """Copy the rows of one chunk; what cannot be carried over goes to the journal.
    `defer` are slots whose references may lead to rows that come later. With
    `insert_only`, rows the target has are left alone; with `ignore_failed`, so are
    records with an open error, whose error stays.

    Records that arrive close their open error. `progress` is told the counts after
    each batch; what it raises ends the copy between two batches. Raises OutageError
    when a side cannot be used; the chunk may then simply be copied again.
    """
    result = ChunkResult()
    if not has_rows(leg, legal_entity):
        return result
    request = read_request(leg, legal_entity)
    copying = _Copying(
        writer, leg, map_id, journal, insert_only, defer, ignore_failed=ignore_failed
    )
    with source.reader() as reader:
        batches = _batches(reader.read(request, chunk), batch_rows)
        for batch in _one_ahead(map(copying.mapper.map, batches)):
            copying.load(batch, result)
            if progress is not None:
                progress(result)
    return result


def complete_rows(
    source: Connector,
    writer: Writer,
    leg: CompiledLeg,
    deferred: Deferred,
    *,
    map_id: int,
    journal: Journal,
    legal_entity: str | None = None,
    insert_only: bool = False,
    alive: Callable[[], None] | None = None,
) -> ChunkResult:
    """Load deferred rows again, in their present state, now that the rows they refer
    to are there; counts them as if they had been loaded once. Rows that are gone from
    the source meanwhile count as unchanged. A reference that still leads nowhere fails
    the row: nothing is deferred twice. `alive` is called after each batch; what it
    raises ends the work. Raises like `copy_chunk`."""
    result = ChunkResult()
    request = read_request(leg, legal_entity)
    for keys, begun in ((deferred.begun, True), (deferred.left, False)):
        # What the first pass inserted itself may be completed in any case.
        only_new = insert_only and not begun
        copying = _Copying(writer, leg, map_id, journal, only_new, frozenset())
        for start in range(0, len(keys), FETCH_ROWS):
            part = keys[start : start + FETCH_ROWS]
            with source.reader() as reader:
                rows = reader.fetch(request, part)
            one = ChunkResult()
            copying.load(copying.mapper.map(rows), one)
            gone = len(part) - one.exported
            if begun:
                one.inserted += one.updated + one.unchanged
                one.updated = one.unchanged = 0
            one.unchanged += gone
            one.exported += gone
            result.join(one)
            if alive is not None:
                alive()
    return result


class _Copying:
    """Loads mapped batches of one leg and keeps the journal."""

    def __init__(
        self,
        writer: Writer,
        leg: CompiledLeg,
        map_id: int,
        journal: Journal,
        insert_only: bool,
        defer: frozenset[int],
        *,
        ignore_failed: bool = False,
    ) -> None:
        self.mapper = _Mapper(leg, map_id)
        self._writer = writer
        self._leg = leg
        self._map_id = map_id
        self._journal = journal
        self._insert_only = insert_only
        self._defer = defer
        self._has_errors = (map_id, leg.direction) in journal.open_codes()
        self._ignores = ignore_failed and self._has_errors

    def load(self, batch: _Batch, result: ChunkResult) -> None:
        """Load one batch and add what became of it to `result`."""
        if self._ignores:
            self._leave_failed(batch)
        loaded = self._loaded(batch.mapped)
        failures = batch.failures + self.mapper.explain(batch, loaded)
        if failures:
            self._journal.record_failures(failures)
        begun = self.mapper.source_keys(batch, loaded.begun)
        left = self.mapper.source_keys(batch, loaded.left)
        if self._has_errors:
            waiting = {failure.key for failure in failures}.union(begun, left)
            arrived = self.mapper.arrived(batch, waiting)
            if arrived:
                self._journal.close_failures(
                    self._map_id, self._leg.direction, arrived, "resolved"
                )
        result.add(loaded, len(batch.failures), insert_only=self._insert_only)
        result.skipped += batch.ignored
        result.exported += batch.ignored
        result.deferred.begun += begun
        result.deferred.left += left

    def _leave_failed(self, batch: _Batch) -> None:
        """Take records with an open error out of the batch."""
        keys = [self.mapper.key(row) for row in batch.sources]
        asked = {*keys, *(failure.key for failure in batch.failures)}
        failed = self._journal.open_among(self._map_id, self._leg.direction, asked)
        if not failed:
            return
        kept = [number for number, key in enumerate(keys) if key not in failed]
        before = len(batch.mapped) + len(batch.failures)
        batch.sources = [batch.sources[number] for number in kept]
        batch.mapped = [batch.mapped[number] for number in kept]
        batch.failures = [one for one in batch.failures if one.key not in failed]
        batch.ignored = before - len(batch.mapped) - len(batch.failures)

    def _loaded(self, rows: Sequence[Row]) -> LoadResult:
        if not rows:
            return LoadResult()
        for _ in range(LOAD_ATTEMPTS - 1):
            try:
                return self._load(rows)
            except TransientError:
                continue
        return self._load(rows)

    def _load(self, rows: Sequence[Row]) -> LoadResult:
        return self._writer.load(
            self._leg, rows, insert_only=self._insert_only, defer=self._defer
        )


def _batches(lists: Iterator[list[Row]], batch_rows: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for rows in lists:
        batch = batch + rows if batch else rows
        while len(batch) >= batch_rows:
            yield batch[:batch_rows]
            batch = batch[batch_rows:]
    if batch:
        yield batch


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item


@dataclass(slots=True)
class _Batch:
    """`sources[i]` is the source row of `mapped[i]`."""

    sources: list[Row]
    mapped: list[Row]
    failures: list[RecordFailure]
    ignored: int = 0


class _Mapper:
    """Maps lists of source rows and describes the ones that fail."""

    def __init__(self, leg: CompiledLeg, map_id: int) -> None:
        self._leg = leg
        self._map_id = map_id
        self._bound: BoundLeg = leg.bind(leg.source_paths)
        self._resolved: Resolved = tuple({} for _ in leg.source_lookups)

    def map(self, rows: list[Row]) -> _Batch:
        to_target, resolved = self._bound.map, self._resolved
        try:
            return _Batch(rows, [to_target(row, resolved) for row in rows], [])
        except RecordError:
            pass
        sources: list[Row] = []
        mapped: list[Row] = []
        failures: list[RecordFailure] = []
        for row in rows:
            try:
                mapped.append(to_target(row, resolved))
                sources.append(row)
            except RecordError as error:
                failures.append(self._unmapped(row, error))
        return _Batch(sources, mapped, failures)

    def explain(self, batch: _Batch, loaded: LoadResult) -> list[RecordFailure]:
        """The rows the target refused, with the source row each came from."""
        if not loaded.failures:
            return []
        origins: dict[Row, list[Row]] = {row: [] for row, _ in loaded.failures}
        for source, mapped in zip(batch.sources, batch.mapped, strict=True):
            if mapped in origins:
                origins[mapped].append(source)
        return [
            self._refused(origins[row].pop() if origins[row] else None, row, outcome)
            for row, outcome in loaded.failures
        ]

    def source_keys(self, batch: _Batch, rows: Sequence[Row]) -> list[Row]:
        """The source keys of some of the batch's mapped rows."""
        if not rows:
            return []
        wanted = set(rows)
        return [
            self.key(source)
            for source, mapped in zip(batch.sources, batch.mapped, strict=True)
            if mapped in wanted
        ]

    def arrived(self, batch: _Batch, waiting: set[Row]) -> list[Row]:
        """Keys of the records that are now on the target: all but those that failed
        or wait for a reference."""
        keys = {self.key(row) for row in batch.sources} - waiting
        return sorted(keys, key=lambda key: tuple(map(str, key)))

    def key(self, row: Row) -> Row:
        """The integration key on the source, as far as it can be told."""
        try:
            return self._bound.source_key(row, self._resolved)
        except RecordError:
            named = dict(zip(self._leg.source_paths, row, strict=True))
            return tuple([named.get(path) for path in self._leg.source_key])

    def _unmapped(self, row: Row, error: RecordError) -> RecordFailure:
        return RecordFailure(
            map_id=self._map_id,
            direction=self._leg.direction,
            phase="initial",
            key=self.key(row),
            code=error.code,
            message=error.message,
            column=error.column,
            remote=error.remote,
            source_row=dict(zip(self._leg.source_paths, row, strict=True)),
            mapped_row=salvaged_values(self._bound, row, self._resolved),
        )

    def _refused(self, row: Row | None, mapped: Row, outcome: Outcome) -> RecordFailure:
        leg = self._leg
        return RecordFailure(
            map_id=self._map_id,
            direction=leg.direction,
            phase="initial",
            key=leg.key_of(mapped) if row is None else self.key(row),
            code=outcome.code,
            message=outcome.message,
            column=outcome.column,
            remote=outcome.remote,
            source_row=dict(zip(leg.source_paths, row or (), strict=False)),
            mapped_row=named_values(leg.slots, mapped),
            awaits=awaited(
                leg, mapped, outcome.code, outcome.column, outcome.references
            ),
        )
