"""Measures of the portal: errors worked off, one bad record, pages over long lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.cluster import database
from tests.bench.report import Limit, Result, percentile
from tests.bench.tables import CUSTOMERS, FILL, SOURCE, TARGET
from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
PER_SECOND = 10_000.0
ONE_BAD_SECONDS = 5.0
PAGE_MILLISECONDS = 150.0


def error_results(on: PostgresServer, number: int) -> list[Result]:
    """Errors of one map, all retried, then all dismissed."""
    with (
        database(on, "bench_erp", SOURCE, CUSTOMERS, FILL.format(rows=number)) as erp,
        database(on, "bench_crm", TARGET) as crm,
    ):
        found = _portal(
            on, "errors", "--finops", erp, "--dataverse", crm, "--errors", str(number)
        )
    note = f"{number:,} errors of the mapped table, 20 causes"
    names = {
        "marked": "Errors marked for a retry",
        "worked": "Errors worked off by a retry",
        "dismissed": "Errors dismissed",
    }
    return [
        Result(
            name, found[key], "records/s", limits=(Limit(PER_SECOND, True),), note=note
        )
        for key, name in names.items()
    ]


def one_bad_results(on: PostgresServer) -> list[Result]:
    """One record that the target refuses, then 1,000 good ones."""
    with (
        database(on, "bench_erp", SOURCE, CUSTOMERS) as erp,
        database(on, "bench_crm", TARGET) as crm,
    ):
        found = _portal(on, "one-bad", "--finops", erp, "--dataverse", crm)
    limits = (Limit(ONE_BAD_SECONDS, False),)
    return [
        Result(
            "One record refused: 1,000 good changes behind it",
            found["good"],
            "s",
            limits=limits,
            note="from the last commit on the source until all are there",
        ),
        Result(
            "One record refused: itself, mended",
            found["bad"],
            "s",
            limits=limits,
            note="from the request of a retry until it is there",
        ),
    ]


def page_results(on: PostgresServer, errors: int, events: int) -> list[Result]:
    """Every list page over very long lists."""
    found = _portal(on, "pages", "--errors", str(errors), "--events", str(events))
    worst = {
        address: percentile(taken, 0.95) for address, taken in found["pages"].items()
    }
    slowest = sorted(worst, key=lambda address: -worst[address])
    said = ", ".join(f"{address} {worst[address]:.0f}" for address in slowest[:4])
    return [
        Result(
            "Portal pages, p95 of the slowest page",
            worst[slowest[0]],
            "ms",
            limits=(Limit(PAGE_MILLISECONDS, False),),
            note=f"{len(worst)} pages with {errors:,} errors and {events:,} lines of "
            f"activity; the slowest: {said}",
        )
    ]


def _portal(on: PostgresServer, *arguments: str) -> dict[str, Any]:
    """Run the program on a fresh portal database."""
    with (
        database(on, "bench_portal") as dsn,
        tempfile.TemporaryDirectory(prefix="dualwrite-bench-") as home,
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.portal_work", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "portal.settings",
                "DATABASE_URL": dsn,
                "REDIS_URL": "redis://127.0.0.1:1/0",
                "DUALWRITE_DATA": home,
                "LOG_LEVEL": "ERROR",
            },
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"the portal's part failed ({done.returncode})")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
