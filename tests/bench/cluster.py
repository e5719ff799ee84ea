"""The benchmark's own server and its databases."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from portal.embedded.postgres import embedded_programs
from tests.servers import PostgresServer

DURABLE: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
USUAL_PASSWORDS = {"scram_iterations": "4096"}
"""Drivers of other tools refuse the single iteration of the tests."""


@contextmanager
def server() -> Iterator[PostgresServer]:
    """An embedded PostgreSQL 18 that really writes to disk."""
    started = PostgresServer.start(18, {**DURABLE, **USUAL_PASSWORDS})
    try:
        yield started
    finally:
        started.stop()


def execute(dsn: str, statement: str, values: Sequence[Any] = ()) -> None:
    """Run statements outside a transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement, values or None)


def fetch(dsn: str, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, values or None).fetchall()


def settle(dsn: str) -> None:
    """Statistics and a checkpoint, so that each run starts from rest."""
    execute(dsn, "VACUUM ANALYZE")
    execute(dsn, "CHECKPOINT")


@contextmanager
def database(on: PostgresServer, prefix: str, *scripts: str) -> Iterator[str]:
    """A fresh database after `scripts`; dropped with its slots at the end."""
    dsn = on.create_database(prefix)
    try:
        for script in scripts:
            execute(dsn, script)
        yield dsn
    finally:
        on.drop_database(dsn)


class Load:
    """A running pgbench: `scripts` in equal shares, paced when `rate` is given."""

    def __init__(
        self,
        dsn: str,
        scripts: Sequence[str],
        *,
        seconds: float,
        clients: int,
        rate: float | None = None,
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="dualwrite-bench-")
        paths = []
        for number, script in enumerate(scripts):
            path = Path(self._files.name, f"{number}.sql")
            path.write_text(script)
            paths.append(path)
        parts = urlsplit(dsn)
        self._process = subprocess.Popen(
            [
                str(embedded_programs() / "pgbench"),
                *("-n", "-M", "prepared", "-T", f"{seconds:.0f}"),
                *("-c", str(clients), "-j", "1"),
                *(("-R", f"{rate:g}") if rate else ()),
                *(part for path in paths for part in ("-f", f"{path}@1")),
                *("-h", str(parts.hostname), "-p", str(parts.port)),
                *("-U", str(parts.username), parts.path.lstrip("/")),
            ],
            env={"PGPASSWORD": str(parts.password or "")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> int:
        """The number of transactions committed, after the load has ended."""
        output, _ = self._process.communicate()
        self._files.cleanup()
        if self._process.returncode:
            raise RuntimeError(f"pgbench failed: {output.strip()}")
        for line in output.splitlines():
            if line.startswith("number of transactions actually processed:"):
                return int(line.split(":")[1].split("/")[0])
        raise RuntimeError(f"pgbench said nothing: {output.strip()}")
