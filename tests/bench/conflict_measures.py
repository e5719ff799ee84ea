"""Conflicts: a two-way storm on hot rows, two columns on two sides, settling rate."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg

from syncengine.mapping.model import ConflictPolicy, Direction, Side
from syncengine.reconcile import compare
from tests.bench.cluster import database, execute, fetch
from tests.bench.engine import LiveProcess
from tests.bench.maps import MAPPED, Link
from tests.bench.report import Limit, Result
from tests.bench.tables import CUSTOMERS, FILL, FILL_TARGET, GENERATED, SOURCE, TARGET
from tests.servers import PostgresServer

HOT_ROWS = 100
ARRIVAL_SECONDS = 120.0
POLICIES = (
    ConflictPolicy.LAST_WRITER_WINS,
    ConflictPolicy.FINOPS_WINS,
    ConflictPolicy.DATAVERSE_WINS,
)
FINOPS = "UPDATE customers SET {column} = %s WHERE customeraccount = %s"
DATAVERSE = "UPDATE accounts SET {column} = %s WHERE accountnumber = %s"
COLUMNS = (
    ("organizationname", "name"),
    ("salesmemo", "description"),
)


@dataclass
class Sides:
    """Both databases and their two streams."""

    link: Link
    streams: Sequence[LiveProcess]

    def different(self) -> int:
        """Records that differ under the map."""
        found = compare(
            self.link.connector(Side.FINOPS),
            self.link.connector(Side.DATAVERSE),
            *(self.link.leg(direction) for direction in Direction),
        )
        return found.compared - found.equal

    def equal_within(self, seconds: float) -> float:
        """How long until both sides agree; they need not, in the end."""
        began = time.monotonic()
        while self.different() and time.monotonic() - began < seconds:
            time.sleep(0.05)  # a look now and then
        return time.monotonic() - began


@contextmanager
def _sides(on: PostgresServer, policy: ConflictPolicy, rows: int) -> Iterator[Sides]:
    generated = GENERATED.format(prefix="C", numbers=f"generate_series(1, {rows})")
    with (
        database(on, "erp", SOURCE, CUSTOMERS, FILL.format(rows=rows)) as erp,
        database(on, "crm", TARGET, FILL_TARGET.format(staged=generated)) as crm,
    ):
        link = Link(replace(MAPPED, conflict=policy), erp, crm)
        link.install()
        streams = [LiveProcess(link, side) for side in Side]
        try:
            for stream in streams:
                stream.enable()
            yield Sides(link, streams)
        finally:
            for stream in streams:
                stream.end()


def _keys(dsn: str) -> list[str]:
    return [row[0] for row in fetch(dsn, "SELECT customeraccount FROM customers")]


def _write(
    dsn: str, statement: str, side: int, keys: Sequence[str], seed: int, writes: int
) -> None:
    choose = random.Random(seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(writes):
            names = choose.choice(COLUMNS)
            connection.execute(
                statement.format(column=names[side]),  # type: ignore[arg-type]
                [f"v{choose.randrange(20)}-{number % 7}", choose.choice(keys)],
            )


def _storm(sides: Sides, writes: int) -> None:
    """Four users, two on each side, each writing as fast as it goes."""
    keys = _keys(sides.link.finops)
    places = ((sides.link.finops, FINOPS, 0), (sides.link.dataverse, DATAVERSE, 1))
    with ThreadPoolExecutor(4) as pool:
        running = [
            pool.submit(_write, dsn, text, side, keys, 10 * side + user, writes // 4)
            for dsn, text, side in places
            for user in range(2)
        ]
        for one in running:
            one.result()


def _two_columns(sides: Sides) -> int:
    """Each record gets one column from each side at the same time; how many of them
    keep both."""
    keys = _keys(sides.link.finops)

    def edit(dsn: str, statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for key in keys:
                connection.execute(statement, [f"of {key}", key])  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        for one in [
            pool.submit(
                edit, sides.link.finops, FINOPS.format(column="organizationname")
            ),
            pool.submit(
                edit, sides.link.dataverse, DATAVERSE.format(column="description")
            ),
        ]:
            one.result()
    sides.equal_within(ARRIVAL_SECONDS)
    wanted = {(f"of {key}", f"of {key}") for key in keys}
    here = fetch(sides.link.finops, "SELECT organizationname, salesmemo FROM customers")
    there = fetch(sides.link.dataverse, "SELECT name, description FROM accounts")
    return len(wanted & set(here) & set(there))


def _settle_rate(on: PostgresServer, rows: int) -> float:
    """Conflicting records settled a second, all met at once."""
    with _sides(on, ConflictPolicy.LAST_WRITER_WINS, rows) as sides:
        for stream in sides.streams:
            stream.disable()
        execute(sides.link.finops, "UPDATE customers SET salesmemo = 'from FinOps'")
        execute(
            sides.link.dataverse, "UPDATE accounts SET description = 'from Dataverse'"
        )
        for stream in sides.streams:
            stream.enable()
        seconds = sides.equal_within(ARRIVAL_SECONDS)
        if sides.different():
            raise RuntimeError("conflicts were not settled in time")
        return rows / seconds


def conflict_results(on: PostgresServer, writes: int) -> list[Result]:
    """The storm under every policy, two columns on two sides, the settling rate."""
    results: list[Result] = []
    for policy in POLICIES:
        with _sides(on, policy, HOT_ROWS) as sides:
            _storm(sides, writes)
            seconds = sides.equal_within(ARRIVAL_SECONDS)
            results.append(
                Result(
                    f"Conflict storm, {policy.value}: rows different",
                    sides.different(),
                    "rows",
                    limits=(Limit(0, False),),
                    note=f"{writes:,} writes on {HOT_ROWS} hot rows from both sides; "
                    f"equal {seconds:.1f} s after the last",
                )
            )
            if policy is ConflictPolicy.LAST_WRITER_WINS:
                kept = _two_columns(sides)
                results.append(
                    Result(
                        "Two columns edited on two sides: both kept",
                        kept,
                        "records",
                        limits=(Limit(HOT_ROWS, True),),
                    )
                )
    rate = _settle_rate(on, 2_000)
    results.append(
        Result(
            "Conflicts settled",
            rate,
            "records/s",
            note="2,000 records changed on both sides while the streams stood",
        )
    )
    return results
