"""What a change costs with one running map, and with all 135 of them."""

from __future__ import annotations

import time
from contextlib import closing
from statistics import median

import psycopg

from portal.sample.ready_made.populations import Sizes
from syncengine import catalog
from syncengine.initial import complete_rows, copy_chunk, deferrable
from syncengine.mapping.model import Direction, Side
from tests.bench.cluster import execute, settle
from tests.bench.engine import LiveProcess
from tests.bench.maps import LINK
from tests.bench.ready_made import LEGAL_ENTITIES, ReadyMade, find, ready_made
from tests.bench.report import Limit, Result
from tests.engine.memory import MemoryState, MemoryStream
from tests.servers import PostgresServer

BUSY = "Customers V3 (accounts)"
ROWS = 20_000
ROUNDS = 3
SECONDS = 120.0

# Every transaction changes one customer in scope; the last one writes the mark.
BACKLOG = """
DO $$ BEGIN
    FOR n IN 1..{changes} LOOP
        UPDATE customersv3 c SET salesmemo =
            CASE WHEN n = {changes} THEN '{mark}' ELSE '{mark} ' || n END
        FROM busy b WHERE b.number = 1 + n % (SELECT count(*) FROM busy)
          AND c.dataareaid = b.dataareaid AND c.customeraccount = b.customeraccount;
        COMMIT;
    END LOOP;
END $$
"""
BUSY_CUSTOMERS = """
CREATE TABLE busy AS
SELECT row_number() OVER () AS number, dataareaid, customeraccount
FROM customersv3 WHERE partytype = 'Organization' AND dataareaid = ANY(%s) LIMIT %s
"""
ARRIVED = "SELECT true FROM accounts WHERE description = %s"
CUSTOMERS = 5_000


def scale_results(on: PostgresServer, changes: int) -> list[Result]:
    """Single-row transactions of one table, worked off by one stream, in turn with
    one map and with all maps running."""
    rates: dict[str, list[float]] = {"one": [], "all": []}
    with ready_made(on, Sizes(rows={"customersv3": ROWS})) as dsns:
        samples = {
            "one": ReadyMade(find(BUSY), dsns),
            "all": ReadyMade(find(), dsns),
        }
        _copy_customers(samples["one"])
        samples["all"].install()
        for turn in range(ROUNDS):
            for name in ("one", "all") if turn % 2 else ("all", "one"):
                rate = _worked_off(samples[name], changes, f"{turn} {name}")
                rates[name].append(rate)
    return [
        Result(
            f"Changes worked off with {len(samples['all'].maps)} running maps",
            median(rates["all"]),
            "changes/s",
            median(rates["one"]),
            "1 running map",
            (Limit(0.9, True, of_ratio=True),),
            f"single-row transactions of one table, median of {ROUNDS} rounds in "
            "turn; all tables are captured in both cases",
        )
    ]


def _copy_customers(sample: ReadyMade) -> None:
    """Bring the customers over with all that they refer to."""
    journal = MemoryStream(MemoryState(sample.maps, LEGAL_ENTITIES), Side.FINOPS)
    for entry in catalog.with_prerequisites([catalog.find(BUSY)]):
        leg = sample.leg(catalog.table_map(entry), Direction.FINOPS_TO_DATAVERSE)
        with closing(sample.connector(Side.DATAVERSE).writer(LINK)) as writer:
            source, defer = sample.connector(Side.FINOPS), deferrable(leg)
            copied = copy_chunk(
                source, writer, leg, None, map_id=1, journal=journal, defer=defer
            )
            copied.join(
                complete_rows(
                    source, writer, leg, copied.deferred, map_id=1, journal=journal
                )
            )
        if copied.failed:
            raise RuntimeError(f"{copied.failed} rows of {entry.name} failed")
    with psycopg.connect(sample.dsns[Side.FINOPS], autocommit=True) as erp:
        codes = [pair.finops for pair in LEGAL_ENTITIES]
        erp.execute(BUSY_CUSTOMERS, [codes, CUSTOMERS])


def _worked_off(sample: ReadyMade, changes: int, mark: str) -> float:
    """Changes a second of a backlog."""
    process = LiveProcess(sample, Side.FINOPS)
    source, target = sample.dsns[Side.FINOPS], sample.dsns[Side.DATAVERSE]
    try:
        execute(
            source,
            BACKLOG.format(changes=changes, mark=mark),
        )
        settle(source)
        settle(target)
        process.enable()
        began = time.perf_counter()
        with psycopg.connect(target, autocommit=True) as there:
            while not there.execute(ARRIVED, [mark]).fetchone():
                if time.perf_counter() - began > SECONDS:
                    raise RuntimeError("the changes did not arrive")
                time.sleep(0.01)
        return changes / (time.perf_counter() - began)
    finally:
        process.end()
