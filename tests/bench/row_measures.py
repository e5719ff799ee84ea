"""The row function alone: source rows in, mapped rows out, no database."""

from __future__ import annotations

import time
from itertools import islice

from portal.sample.ready_made.populations import Sizes
from syncengine.initial import read_request
from syncengine.mapping.model import Direction
from tests.bench.ready_made import ReadyMade, find, ready_made
from tests.bench.report import Result
from tests.servers import PostgresServer

MAPS = ("Customers V3 (accounts)", "Released products V2")
ROWS = 5_000


def row_results(on: PostgresServer, seconds: float) -> list[Result]:
    """Rows a second of one process, for a usual map and for the widest one."""
    maps = find(*MAPS)
    sizes = Sizes(rows={table_map.finops_table: ROWS for table_map in maps})
    with ready_made(on, sizes) as dsns:
        sample = ReadyMade(maps, dsns)
        return [_measured(sample, number, seconds) for number in range(len(maps))]


def _measured(sample: ReadyMade, number: int, seconds: float) -> Result:
    table_map = sample.maps[number]
    leg = sample.leg(table_map, Direction.FINOPS_TO_DATAVERSE)
    with sample.connector(leg.direction.source).reader() as reader:
        lists = reader.read(read_request(leg))
        rows = [row for rows in islice(lists, 10) for row in rows]
    if not rows:
        raise RuntimeError(f"{table_map.name} has no rows in scope")
    to_target = leg.bind(leg.source_paths).map
    resolved = tuple[dict[str, str | None], ...]({} for _ in leg.source_lookups)
    rates = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(rates) < 3:
        began = time.perf_counter()
        for row in rows:
            to_target(row, resolved)
        rates.append(len(rows) / (time.perf_counter() - began))
    rate = sorted(rates)[len(rates) // 2]
    return Result(
        f"Row function, {table_map.name}, {len(table_map.columns)} columns",
        rate,
        "rows/s",
        note=f"median of {len(rates)} passes over {len(rows):,} rows, "
        f"{1e6 / rate:.1f} microseconds a row, one core"
        if number == 0
        else "",
    )
