"""What a user's commit costs when it waits for the other side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress

import psycopg

from syncengine.errors import SetupError
from syncengine.mapping.model import Side
from tests.bench.cluster import execute, fetch, settle
from tests.bench.engine import LiveProcess
from tests.bench.live_measures import mapped_tables, native
from tests.bench.load import Table
from tests.bench.maps import LINK, MAPPED, Link
from tests.bench.report import Limit, Result, percentile
from tests.servers import PostgresServer
from tests.waiting import wait_until

CLIENTS = 4
CAUGHT_UP_SECONDS = 60.0

Waiting = Callable[[PostgresServer], AbstractContextManager[Table]]


@contextmanager
def ours(on: PostgresServer, *, waits: bool) -> Iterator[Table]:
    """The mapped ERP table and the engine, with or without synchronous mode."""
    with mapped_tables(on) as (erp, crm):
        link = Link(MAPPED, erp.dsn, crm.dsn)
        link.install()
        process = LiveProcess(link, Side.FINOPS, synchronous=waits)
        process.enable()
        with closing(link.connector(Side.FINOPS).gate(LINK)) as gate:

            def armed() -> bool:
                with suppress(SetupError):
                    gate.arm()
                    return True
                return False

            try:
                if waits:
                    wait_until(armed, CAUGHT_UP_SECONDS, "armed")
                yield erp
            finally:
                gate.disarm()
                process.end()


@contextmanager
def theirs(on: PostgresServer) -> Iterator[Table]:
    """Native logical replication as a synchronous standby, on one server: its own
    commits must not wait for itself."""
    with native(on, "L") as running:
        execute(
            running.right.dsn,
            "ALTER SUBSCRIPTION native_l SET (synchronous_commit = local)",
        )
        execute(
            running.left.dsn, "ALTER SYSTEM SET synchronous_standby_names = native_l"
        )
        execute(running.left.dsn, "SELECT pg_reload_conf()")
        try:
            yield running.left
        finally:
            execute(running.left.dsn, "ALTER SYSTEM RESET synchronous_standby_names")
            execute(running.left.dsn, "SELECT pg_reload_conf()")
            wait_until(
                lambda: (
                    fetch(running.left.dsn, "SHOW synchronous_standby_names") == [("",)]
                ),
                CAUGHT_UP_SECONDS,
                "nobody is waited for",
            )


def commits(table: Table, seconds: float, clients: int) -> list[float]:
    """How long each single-row update took until its commit returned."""
    table.prepare("L")
    settle(table.dsn)
    update = table.scripts("L")[1].strip().rstrip(";")

    def work() -> list[float]:
        found = []
        with psycopg.connect(table.dsn, autocommit=True) as session:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.perf_counter()
                session.execute(update.encode(), prepare=True)
                found.append(time.perf_counter() - began)
        return found

    with ThreadPoolExecutor(clients) as pool:
        return [
            one for part in pool.map(lambda _: work(), range(clients)) for one in part
        ]


def synchronous_results(on: PostgresServer, seconds: float) -> list[Result]:
    """Commit latency of single-row updates, one client and some."""
    results = []
    for clients in (1, CLIENTS):
        with theirs(on) as table:
            reference = commits(table, seconds, clients)
        with ours(on, waits=False) as table:
            free = commits(table, seconds, clients)
        with ours(on, waits=True) as table:
            measured = commits(table, seconds, clients)
        for name, share, factor in (("p50", 0.5, 4), ("p99", 0.99, 6)):
            alone = percentile(free, share) * 1000
            results.append(
                Result(
                    f"Synchronous commit {name}, "
                    f"{clients} {'client' if clients == 1 else 'clients'}",
                    percentile(measured, share) * 1000,
                    "ms",
                    percentile(reference, share) * 1000,
                    "native synchronous replication",
                    (Limit(factor, False, of_ratio=True),),
                    f"until the change is durable on the other side; {alone:,.2f} ms "
                    f"where commits do not wait; {len(measured) / seconds:,.0f} "
                    f"commits/s, native {len(reference) / seconds:,.0f}",
                )
            )
    return results
