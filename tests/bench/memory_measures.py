"""Memory of workers that copy ten thousand, a million and ten million rows."""

from __future__ import annotations

from tests.bench.cluster import database, execute, fetch, settle
from tests.bench.engine import initial_copy
from tests.bench.initial_measures import MEMORY
from tests.bench.maps import PLAIN, Link
from tests.bench.report import Limit, Result
from tests.bench.tables import CUSTOMERS, FILL, SOURCE
from tests.servers import PostgresServer

FLAT = 1.15
"""So much more than for the next smaller number of rows; the smallest fills less than
one batch and is no measure of the others."""


def memory_results(
    on: PostgresServer, sizes: tuple[int, ...], workers: int
) -> list[Result]:
    """The peak resident size of a worker for each number of rows."""
    found: list[Result] = []
    with database(on, "bench_erp", SOURCE, CUSTOMERS) as source:
        for rows in sorted(sizes):
            execute(source, "TRUNCATE customers")
            execute(source, FILL.format(rows=rows))
            settle(source)
            before = found[-1].value if len(found) > 1 else None
            found.append(_measured(on, source, rows, workers, before))
    return found


def _measured(
    on: PostgresServer, source: str, rows: int, workers: int, before: float | None
) -> Result:
    with database(on, "bench_plain", CUSTOMERS) as plain:
        link = Link(PLAIN, source, plain)
        link.install()
        copied = initial_copy(link, workers)
        arrived = fetch(plain, "SELECT count(*) FROM customers")[0][0]
    if arrived != rows or copied.counts.get("inserted") != rows:
        raise RuntimeError(f"{arrived} of {rows} rows arrived: {copied.counts}")
    limits = [Limit(MEMORY, False)]
    if before is not None:
        limits.append(Limit(FLAT, False, of_ratio=True))
    return Result(
        f"Initial sync, memory of a worker, {rows:,} rows",
        copied.megabytes,
        "MB",
        before,
        "the size before" if before is not None else "",
        tuple(limits),
        f"plain map, {workers} workers, {rows / copied.seconds:,.0f} rows/s; peak "
        "resident size, program included",
    )
