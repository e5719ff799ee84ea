"""The initial copy: existing rows of one leg, chunk by chunk (architecture section 7).

A chunk may be copied any number of times, by any worker: rows that are already equal
on the target are not written again. Memory stays flat: one batch is loaded while the
next one is read and mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

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
)
from syncengine.mapping.model import Side
from syncengine.ports import Journal, RecordFailure

BATCH_ROWS = 10_000
CHUNK_ROWS = 50_000
LOAD_ATTEMPTS = 5
"""How often a batch is tried when the target reports a deadlock or the like."""

Item = TypeVar("Item")


@dataclass(slots=True)
class ChunkResult:
    """What became of the rows of a chunk; exported is the sum of the four others."""

    exported: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0

    def add(self, loaded: LoadResult, refused: int) -> None:
        """Count one batch: what the target took and what never reached it."""
        failed = len(loaded.failures) + refused
        self.inserted += loaded.inserted
        self.updated += loaded.updated
        self.unchanged += loaded.unchanged
        self.failed += failed
        self.exported += loaded.inserted + loaded.updated + loaded.unchanged + failed


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
    progress: Callable[[ChunkResult], None] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ChunkResult:
    """Copy the rows of one chunk; what cannot be carried over goes to the journal.

    Records that arrive close their open error. `progress` is told the counts after
    each batch; what it raises ends the copy between two batches. Raises OutageError
    when a side cannot be used; the chunk may then simply be copied again.
    """
    result = ChunkResult()
    if not has_rows(leg, legal_entity):
        return result
    request = read_request(leg, legal_entity)
    mapper = _Mapper(leg, map_id)
    open_keys = journal.open_keys(map_id, leg.direction)
    with source.reader() as reader:
        batches = _batches(reader.read(request, chunk), batch_rows)
        for batch in _one_ahead(map(mapper.map, batches)):
            loaded = _load(writer, leg, batch.mapped, insert_only)
            failures = batch.failures + mapper.explain(batch, loaded)
            if failures:
                journal.record_failures(failures)
            if open_keys:
                arrived = mapper.arrived(batch, open_keys, failures)
                if arrived:
                    journal.close_failures(map_id, leg.direction, arrived, "resolved")
            result.add(loaded, len(batch.failures))
            if progress is not None:
                progress(result)
    return result


def _load(
    writer: Writer, leg: CompiledLeg, rows: Sequence[Row], insert_only: bool
) -> LoadResult:
    if not rows:
        return LoadResult()
    for _ in range(LOAD_ATTEMPTS - 1):
        try:
            return writer.load(leg, rows, insert_only=insert_only)
        except TransientError:
            continue
    return writer.load(leg, rows, insert_only=insert_only)


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

    def arrived(
        self, batch: _Batch, open_keys: set[Row], failures: Sequence[RecordFailure]
    ) -> list[Row]:
        """Keys with an open error whose record is now on the target."""
        failed = {failure.key for failure in failures}
        keys = {self.key(row) for row in batch.sources}
        return sorted((keys & open_keys) - failed, key=lambda key: tuple(map(str, key)))

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
        )
