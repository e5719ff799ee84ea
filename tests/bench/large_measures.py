"""One transaction of a million rows: how fast it arrives, in how much memory."""

from __future__ import annotations

import time

from tests.bench.cluster import settle
from tests.bench.engine import LiveProcess, engine
from tests.bench.live_measures import Running, Setting, native
from tests.bench.peak import peak_megabytes
from tests.bench.report import Limit, Result
from tests.servers import PostgresServer

ARRIVAL_SECONDS = 900.0
MEGABYTES = 200.0


def large_results(on: PostgresServer, rows: int) -> list[Result]:
    """Rows a second from the start of the stream on, and the stream's peak memory."""
    reference, _ = large_transaction(native, on, rows)
    measured, megabytes = large_transaction(engine, on, rows)
    return [
        Result(
            f"One transaction of {rows:,} rows",
            measured,
            "rows/s",
            reference,
            "native replication",
            (),
            "inserted under a map with value maps, a lookup, companies and foreign "
            "keys; visible on the other side all at once",
        ),
        Result(
            f"Peak memory of the stream, one transaction of {rows:,} rows",
            megabytes,
            "MB",
            None,
            "",
            (Limit(MEGABYTES, False),),
        ),
    ]


def large_transaction(
    setting: Setting, on: PostgresServer, rows: int
) -> tuple[float, float]:
    """Rows a second, and megabytes where the stream is a process of ours."""
    with setting(on, "L") as running:
        running.flows["L"].disable()
        settle(running.left.dsn)
        running.left.large("L", rows)
        running.left.mark("L")
        began = time.time()
        running.flows["L"].enable()
        ended = running.right.wait_for_mark("L", ARRIVAL_SECONDS)
        here, there = (table.keys("L") for table in running.sides("L"))
        if here != there:
            raise RuntimeError(f"{len(here ^ there)} of {len(here)} rows went wrong")
        return rows / (ended - began), _megabytes(running)


def _megabytes(running: Running) -> float:
    flow = running.flows["L"]
    return peak_megabytes(flow.pid) if isinstance(flow, LiveProcess) else 0.0
