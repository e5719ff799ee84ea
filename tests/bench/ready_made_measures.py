"""The initial sync of the ready-made maps with the most columns, in both directions."""

from __future__ import annotations

import time
from contextlib import closing

from portal.sample.ready_made.companies import LEGAL_ENTITIES
from portal.sample.ready_made.populations import Populations, Sizes
from portal.sample.ready_made.records import Records
from syncengine import catalog
from syncengine.catalog import CatalogEntry
from syncengine.initial import ChunkResult, complete_rows, copy_chunk, deferrable
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dependencies import in_order, prerequisites
from syncengine.mapping.model import Direction, Side
from tests.bench.cluster import settle
from tests.bench.maps import LINK
from tests.bench.ready_made import ReadyMade, find, ready_made
from tests.bench.report import Result
from tests.engine.memory import MemoryState, MemoryStream
from tests.ready_made.counts import miscounted
from tests.servers import PostgresServer

LARGEST = 10


def ready_made_results(on: PostgresServer, rows: int) -> list[Result]:
    """Rows per second of each of the largest maps, with `rows` records each. All maps
    are copied, in the order of a run. Raises RuntimeError when the counts are not
    those of the sample: a row that failed is not counted as the sample says."""
    largest = sorted(catalog.entries(), key=lambda entry: -len(entry.columns))[:LARGEST]
    sizes = Sizes(rows={entry.finops_table: rows for entry in largest})
    records = Records(Populations(sizes))
    with ready_made(on, sizes) as dsns:
        pair = ReadyMade(find(), dsns)
        pair.install()
        for dsn in dsns.values():
            settle(dsn)
        copier = _Copier(pair)
        results = {}
        for entry in copier.order():
            counts, seconds = copier.copy(entry)
            if wrong := miscounted(entry, records, counts):
                raise RuntimeError(f"{entry.name}: {'; '.join(wrong)}")
            if entry in largest:
                results[entry] = _result(entry, counts, seconds)
    return [results[entry] for entry in largest]


class _Copier:
    """Copies one map after the other in this process."""

    def __init__(self, pair: ReadyMade) -> None:
        self._connectors = {side: pair.connector(side) for side in Side}
        self._schemas = {side: one.tables() for side, one in self._connectors.items()}
        self._maps = {one.name: one for one in pair.maps}
        self._state = MemoryState(pair.maps, LEGAL_ENTITIES)

    def order(self) -> list[CatalogEntry]:
        """The maps, each after those it refers to."""
        needs = prerequisites(tuple(self._maps.values()), self._schemas)
        return [catalog.find(name) for name in in_order(needs)]

    def copy(self, entry: CatalogEntry) -> tuple[dict[Direction, ChunkResult], float]:
        """Both legs of a map: the counts of each, and the seconds of all."""
        table_map = self._maps[entry.name]
        number = list(self._maps).index(entry.name) + 1
        counts = {}
        began = time.monotonic()
        for way in entry.directions:
            leg = compile_leg(
                table_map,
                way,
                self._schemas[way.source],
                self._schemas[way.target],
                LEGAL_ENTITIES,
            )
            source = self._connectors[way.source]
            journal = MemoryStream(self._state, way.source)
            only_new = way is Direction.DATAVERSE_TO_FINOPS
            with closing(self._connectors[way.target].writer(LINK)) as writer:
                done = copy_chunk(
                    source,
                    writer,
                    leg,
                    None,
                    map_id=number,
                    journal=journal,
                    insert_only=only_new,
                    defer=deferrable(leg),
                )
                deferred, done.deferred = done.deferred, type(done.deferred)()
                if deferred:
                    completed = complete_rows(
                        source,
                        writer,
                        leg,
                        deferred,
                        map_id=number,
                        journal=journal,
                        insert_only=only_new,
                    )
                    done.join(completed)
            counts[way] = done
        return counts, time.monotonic() - began


def _result(
    entry: CatalogEntry, counts: dict[Direction, ChunkResult], seconds: float
) -> Result:
    exported = sum(one.exported for one in counts.values())
    legs = "; ".join(
        f"{way.value.replace('_', ' ')}: {one.exported:,} exported, {one.inserted:,} "
        f"inserted, {one.unchanged + one.skipped:,} there already, {one.failed} failed"
        for way, one in counts.items()
    )
    return Result(
        f"Ready-made map, initial sync, {entry.name}, {len(entry.columns)} lines",
        exported / seconds,
        "rows/s",
        note=f"one process; {legs}",
    )
