"""Measures of live sync: latency, throughput and catching up, beside native."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.bench.cluster import Load, database, settle
from tests.bench.load import Table, accounts, customers
from tests.bench.native import subscription
from tests.bench.probe import PER_SECOND, Probe
from tests.bench.report import Limit, Result, percentile
from tests.bench.tables import CUSTOMERS, FILL, FILL_TARGET, GENERATED, SOURCE, TARGET
from tests.servers import PostgresServer

LIVE_ROWS = 200_000
ARRIVAL_SECONDS = 240.0
CLIENTS = 12


class Flow(Protocol):
    """One direction that can be held back and let go."""

    def enable(self) -> None: ...

    def disable(self) -> None: ...


@dataclass
class Running:
    """Two tables and the directions between them that are in sync: prefix of the
    writer (L from left, R from right) to the flow that carries its changes."""

    left: Table
    right: Table
    flows: dict[str, Flow]

    def sides(self, prefix: str) -> tuple[Table, Table]:
        """Source and target of the changes that `prefix` writes."""
        return (self.left, self.right) if prefix == "L" else (self.right, self.left)


Ways = Sequence[str]
Setting = Callable[[PostgresServer, Ways], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Flowed:
    """What one run of a load gave."""

    rate: float
    latencies: Sequence[float]

    def p(self, share: float) -> float:
        """A percentile of the latency in milliseconds."""
        return percentile(self.latencies, share) * 1000


@contextmanager
def native(on: PostgresServer, ways: Ways) -> Iterator[Running]:
    """The plain table twice, kept in step by PostgreSQL itself."""
    fill = FILL.format(rows=LIVE_ROWS)
    with ExitStack() as stack:
        left, right = (
            stack.enter_context(database(on, f"native_{side}", CUSTOMERS, fill))
            for side in ("left", "right")
        )
        flows: dict[str, Flow] = {}
        for prefix in ways:
            source, target = (left, right) if prefix == "L" else (right, left)
            name = f"native_{prefix.lower()}"
            flows[prefix] = stack.enter_context(subscription(source, target, name))
        yield Running(customers(left), customers(right), flows)


@contextmanager
def mapped_tables(on: PostgresServer) -> Iterator[tuple[Table, Table]]:
    """An ERP and a CRM table under a map with value maps, a lookup, companies and
    foreign keys, equal at the start."""
    generated = GENERATED.format(prefix="C", numbers=f"generate_series(1, {LIVE_ROWS})")
    with (
        database(on, "erp", SOURCE, CUSTOMERS, FILL.format(rows=LIVE_ROWS)) as erp,
        database(on, "crm", TARGET, FILL_TARGET.format(staged=generated)) as crm,
    ):
        yield customers(erp), accounts(crm)


def flow(
    setting: Setting,
    on: PostgresServer,
    ways: Ways,
    *,
    seconds: float,
    rate: float | None,
) -> Flowed:
    """Single-row transactions for some seconds, paced or as fast as they go."""
    with setting(on, ways) as running:
        for prefix in ways:
            running.sides(prefix)[0].prepare(prefix)
        settle(running.left.dsn)
        settle(running.right.dsn)
        loads = []
        for prefix in ways:
            source, _ = running.sides(prefix)
            loads.append(
                Load(
                    source.dsn,
                    source.scripts(prefix),
                    seconds=seconds,
                    clients=CLIENTS // len(ways),
                    rate=rate - PER_SECOND if rate else None,
                )
            )
        began = time.time()
        probes = [Probe(*running.sides(prefix), prefix) for prefix in ways]
        with ThreadPoolExecutor(len(probes)) as pool:
            probing = [pool.submit(probe.run, seconds - 0.5) for probe in probes]
            for load in loads:
                load.wait()
            latencies = [value for found in probing for value in found.result()]
        return Flowed(_arrived(running, ways, began), latencies)


def catch_up(setting: Setting, on: PostgresServer, transactions: int) -> float:
    """Changes a second while a backlog of 100-row transactions is worked off."""
    with setting(on, "L") as running:
        running.flows["L"].disable()
        settle(running.left.dsn)
        settle(running.right.dsn)
        running.left.backlog("L", transactions)
        running.left.mark("L")
        began = time.time()
        running.flows["L"].enable()
        ended = running.right.wait_for_mark("L", ARRIVAL_SECONDS)
        _check(running, "L")
        return transactions * 100 / (ended - began)


def latency_results(
    engine: Setting, on: PostgresServer, seconds: float
) -> list[Result]:
    """Commit to commit at 200 single-row transactions a second."""
    reference = flow(native, on, "L", seconds=seconds, rate=200)
    measured = flow(engine, on, "L", seconds=seconds, rate=200)
    return [
        Result(
            f"Live latency {name}, 200 tx/s",
            measured.p(share),
            "ms",
            reference.p(share),
            "native replication",
            (Limit(bound, False), Limit(times, False, of_ratio=True)),
            note,
        )
        for name, share, bound, times, note in (
            (
                *("p50", 0.5, 5, 4),
                "from the client's successful commit until another client sees the "
                "row; the engine under a map with value maps, a lookup, companies "
                "and foreign keys, native on the bare table",
            ),
            ("p99", 0.99, 30, 6, ""),
        )
    ]


def throughput_results(
    engine: Setting, on: PostgresServer, seconds: float
) -> list[Result]:
    """Single-row transactions, one way and both ways at once."""
    results = []
    for ways, title, bound in (
        ("L", "one way", 4000.0),
        ("LR", "each way, both at once", 2000.0),
    ):
        reference = flow(native, on, ways, seconds=seconds, rate=None)
        measured = flow(engine, on, ways, seconds=seconds, rate=None)
        results.append(
            Result(
                f"Live throughput, {title}",
                measured.rate,
                "tx/s",
                reference.rate,
                "native replication",
                (Limit(bound, True),),
                f"as fast as {CLIENTS} clients write on the same two cores, until the "
                "last change has arrived; p99 latency under that overload "
                f"{measured.p(0.99):,.0f} ms, native {reference.p(0.99):,.0f} ms",
            )
        )
        paced = bound if measured.rate > bound * 1.1 else measured.rate * 0.8
        reference = flow(native, on, ways, seconds=seconds, rate=paced)
        measured = flow(engine, on, ways, seconds=seconds, rate=paced)
        results.append(
            Result(
                f"Live latency p99, {paced:,.0f} tx/s {title}",
                measured.p(0.99),
                "ms",
                reference.p(0.99),
                "native replication",
                (Limit(100, False),),
                f"{measured.rate:,.0f} tx/s arrived, native {reference.rate:,.0f}",
            )
        )
    return results


def catch_up_results(
    engine: Setting, on: PostgresServer, transactions: int
) -> list[Result]:
    """A backlog of 100-row transactions."""
    reference = catch_up(native, on, transactions)
    measured = catch_up(engine, on, transactions)
    return [
        Result(
            f"Catch-up, {transactions:,} transactions of 100 rows",
            measured,
            "changes/s",
            reference,
            "native replication",
            (Limit(25_000, True),),
        )
    ]


def _arrived(running: Running, ways: Ways, began: float) -> float:
    """Wait for the last change of each way; the slower way's transactions a second."""
    for prefix in ways:
        running.sides(prefix)[0].mark(prefix)
    ended = {
        prefix: running.sides(prefix)[1].wait_for_mark(prefix, ARRIVAL_SECONDS)
        for prefix in ways
    }
    return min(_check(running, prefix) / (ended[prefix] - began) for prefix in ways)


def _check(running: Running, prefix: str) -> int:
    """How many rows `prefix` wrote; all of them must have arrived."""
    source, target = running.sides(prefix)
    here, there = source.keys(prefix), target.keys(prefix)
    if here != there:
        raise RuntimeError(f"{len(here ^ there)} of {len(here)} changes went wrong")
    return len(here)
