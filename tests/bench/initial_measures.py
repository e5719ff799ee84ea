"""Measures of the initial sync, beside COPY and INSERT ... SELECT in one session."""

from __future__ import annotations

import subprocess
import time
from statistics import median
from urllib.parse import urlsplit

from portal.embedded.postgres import embedded_programs
from tests.bench.cluster import database, execute, fetch, settle
from tests.bench.engine import Copied, initial_copy
from tests.bench.maps import MAPPED, PLAIN, Link
from tests.bench.report import Limit, Result
from tests.bench.tables import (
    COLUMNS,
    CUSTOMERS,
    FILL,
    FILL_TARGET,
    ON_CONFLICT,
    SOURCE,
    TARGET,
)
from tests.servers import PostgresServer

MEMORY = 200.0


def initial_results(
    on: PostgresServer, rows: int, rounds: int, workers: int
) -> list[Result]:
    """Plain and mapped, each beside its reference, and the memory of a worker."""
    fill = FILL.format(rows=rows)
    with (
        database(on, "bench_erp", SOURCE, CUSTOMERS, fill) as source,
        database(on, "bench_plain", CUSTOMERS) as plain,
        database(on, "bench_crm", TARGET, STAGING) as crm,
    ):
        settle(source)
        plain_runs: list[tuple[float, Copied]] = []
        mapped_runs: list[tuple[float, Copied]] = []
        statements: list[float] = []
        link_plain, link_mapped = Link(PLAIN, source, plain), Link(MAPPED, source, crm)
        link_plain.install()
        link_mapped.install()
        for _ in range(rounds):
            _empty(plain, "customers")
            reference = _timed_copy(source, plain, "customers")
            _check(plain, "customers", rows)
            _empty(plain, "customers")
            plain_runs.append((reference, initial_copy(link_plain, workers)))
            _check(plain, "customers", rows)
        for _ in range(rounds):
            _empty(crm, "accounts, staged")
            staged = _timed_copy(source, crm, "staged")
            insert = _timed(crm, FILL_TARGET.format(staged="staged") + ON_CONFLICT)
            statements.append(insert)
            _check(crm, "accounts", rows)
            _empty(crm, "accounts, staged")
            mapped_runs.append((staged + insert, initial_copy(link_mapped, workers)))
            _check(crm, "accounts", rows)
    title = f"{rows:,} rows x {len(COLUMNS)} columns"
    return [
        _result(
            f"Initial sync, plain, {title}",
            rows,
            plain_runs,
            "COPY | COPY",
            0.5,
            f"{workers} workers; median of {rounds}",
        ),
        _result(
            f"Initial sync, mapped, {title}",
            rows,
            mapped_runs,
            "COPY | COPY, INSERT ... SELECT ... ON CONFLICT",
            0.9,
            f"{workers} workers; 2 value maps, 1 lookup, company, 2 unique indexes, 2 "
            f"foreign keys; the reference's statement alone, on rows already staged: "
            f"{rows / median(statements):,.0f} rows/s",
        ),
        Result(
            "Initial sync, memory of a worker",
            max(copied.megabytes for _, copied in plain_runs + mapped_runs),
            "MB",
            limits=(Limit(MEMORY, False),),
            note="peak resident size, program included",
        ),
    ]


STAGING = CUSTOMERS.replace("customers", "staged").replace(
    ",\n    PRIMARY KEY (dataareaid, customeraccount)", ""
)


def _result(
    name: str,
    rows: int,
    runs: list[tuple[float, Copied]],
    reference: str,
    bound: float,
    note: str,
) -> Result:
    for _, copied in runs:
        if copied.counts.get("inserted") != rows:
            raise RuntimeError(f"{name}: {copied.counts} instead of {rows} inserted")
    return Result(
        name,
        rows / median(copied.seconds for _, copied in runs),
        "rows/s",
        rows / median(seconds for seconds, _ in runs),
        reference,
        (Limit(bound, True, of_ratio=True),),
        note,
    )


def _empty(dsn: str, tables: str) -> None:
    execute(dsn, f"TRUNCATE {tables}")
    execute(dsn, "CHECKPOINT")


def _check(dsn: str, table: str, rows: int) -> None:
    found = fetch(dsn, f"SELECT count(*) FROM {table}")[0][0]
    if found != rows:
        raise RuntimeError(f"{table} has {found} of {rows} rows")


def _timed(dsn: str, statement: str) -> float:
    began = time.monotonic()
    execute(dsn, statement)
    return time.monotonic() - began


def _timed_copy(source: str, target: str, table: str) -> float:
    """`COPY TO STDOUT | COPY FROM STDIN` as text through a pipe, one session each."""
    began = time.monotonic()
    reading = _psql(source, "COPY customers TO STDOUT", stdout=subprocess.PIPE)
    writing = _psql(target, f"COPY {table} FROM STDIN", stdin=reading.stdout)
    if reading.stdout is not None:
        reading.stdout.close()
    if writing.wait() or reading.wait():
        raise RuntimeError(f"copying into {table} failed; psql's words are above")
    return time.monotonic() - began


def _psql(dsn: str, statement: str, **pipes: object) -> subprocess.Popen[bytes]:
    parts = urlsplit(dsn)
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [
            *(str(embedded_programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"),
            *("-h", str(parts.hostname), "-p", str(parts.port)),
            *("-U", str(parts.username), "-d", parts.path.lstrip("/"), "-c", statement),
        ],
        env={"PGPASSWORD": str(parts.password or ""), "PGCLIENTENCODING": "UTF8"},
        **pipes,
    )
