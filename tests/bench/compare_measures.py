"""Measures of the comparison, beside hashes added up by plain SQL without a map."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from syncengine.mapping.model import Direction, Side
from syncengine.reconcile import compare
from tests.bench.cluster import database, execute, fetch, settle
from tests.bench.maps import MAPPED, Link
from tests.bench.peak import peak_megabytes
from tests.bench.report import Limit, Result
from tests.bench.tables import (
    CUSTOMERS,
    FILL,
    FILL_TARGET,
    SOURCE,
    TARGET,
)
from tests.servers import PostgresServer

SECONDS = 8.0
PLANTED = (
    "UPDATE accounts SET name = 'x' WHERE accountnumber = 'C000000100'",
    "UPDATE accounts SET creditlimit = creditlimit + 1 "
    "WHERE accountnumber = 'C000000200'",
    "UPDATE accounts SET description = NULL WHERE accountnumber = 'C000000300'",
    "UPDATE accounts SET groupid = NULL WHERE accountnumber = 'C000000400'",
    "DELETE FROM accounts WHERE accountnumber = 'C000000500'",
    "INSERT INTO accounts (company, accountnumber) "
    "SELECT companyid, 'X1' FROM companies LIMIT 1",
)
BUCKETS = """
SELECT hashtextextended({key}, 0) & 262143 AS bucket, count(*),
       sum(hashtextextended({row}::text, 1)::numeric)
FROM {table} GROUP BY bucket
"""
_context = multiprocessing.get_context("spawn")


def compare_results(on: PostgresServer, rows: int, rounds: int) -> list[Result]:
    """Both sides of the mapped table, equal but for six planted differences."""
    with (
        database(on, "bench_erp", SOURCE, CUSTOMERS, FILL.format(rows=rows)) as erp,
        database(on, "bench_crm", TARGET, CUSTOMERS, FILL.format(rows=rows)) as crm,
    ):
        execute(crm, FILL_TARGET.format(staged="customers"))
        for statement in PLANTED:
            execute(crm, statement)
        settle(erp)
        settle(crm)
        link = Link(MAPPED, erp, crm)
        ours, references = [], []
        for _ in range(rounds):
            references.append(_reference(erp, crm))
            ours.append(_measured(link, rows))
    seconds = median(one["seconds"] for one in ours)
    return [
        Result(
            f"Compare, mapped, {rows:,} rows, {len(PLANTED)} planted differences",
            seconds,
            "s",
            median(references),
            "SQL bucket hashes, both sides at once, no map",
            (Limit(SECONDS, False),),
            f"median of {rounds}; all {len(PLANTED)} found and named",
        ),
        Result(
            "Compare, memory",
            max(one["megabytes"] for one in ours),
            "MB",
            limits=(Limit(200.0, False),),
            note="peak resident size, program included",
        ),
    ]


def _measured(link: Link, rows: int) -> dict[str, float]:
    results: Any = _context.Queue()
    process = _context.Process(target=_compare, args=(link, results))
    process.start()
    found: dict[str, float] = results.get(timeout=600)
    process.join()
    if found["equal"] != rows - 5 or found["differences"] != len(PLANTED):
        raise RuntimeError(f"the comparison found {found}")
    return found


def _compare(link: Link, results: Any) -> None:
    legs = [link.leg(way) for way in Direction]
    finops, dataverse = link.connector(Side.FINOPS), link.connector(Side.DATAVERSE)
    began = time.monotonic()
    found = compare(finops, dataverse, *legs)
    results.put(
        {
            "seconds": time.monotonic() - began,
            "equal": found.equal,
            "differences": found.compared - found.equal,
            "megabytes": peak_megabytes(),
        }
    )


def _reference(erp: str, crm: str) -> float:
    """Key and row hashed into buckets by both servers at once, and fetched."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        tasks = [
            pool.submit(
                fetch,
                dsn,
                BUCKETS.format(
                    key="dataareaid || customeraccount",
                    row="customers",
                    table="customers",
                ),
            )
            for dsn in (erp, crm)
        ]
        for task in tasks:
            task.result()
    return time.monotonic() - began
