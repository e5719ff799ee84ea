"""A reference for live changes: Bucardo, where Debian's package is installed.

It needs PL/Perl in the server that holds its own database, so it is measured on
Debian's PostgreSQL 15, and the engine beside it on the same server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.cluster import DURABLE, database, execute
from tests.bench.live_measures import LIVE_ROWS, Running, Setting, Ways, flow
from tests.bench.load import customers
from tests.bench.report import Limit, Result
from tests.bench.tables import CUSTOMERS, FILL
from tests.servers import DEBIAN_15, PostgresServer, database_name, directory
from tests.waiting import wait_until

NEEDED = "apt-get install bucardo postgresql-plperl-15"
LIBRARY = DEBIAN_15.parent / "lib" / "plperl.so"
START_SECONDS = 60


_ROLE = """
DO $$ BEGIN
    CREATE ROLE bucardo SUPERUSER LOGIN PASSWORD 'bucardo';
EXCEPTION WHEN duplicate_object THEN NULL;
END $$
"""


def installed() -> bool:
    """Whether it can be measured here."""
    return shutil.which("bucardo") is not None and LIBRARY.exists()


class Daemon:
    """Bucardo's own database, and the process that replicates."""

    def __init__(self, on: PostgresServer) -> None:
        self._on = on
        self._home = directory()
        self._running = False
        execute(on.dsn(), _ROLE)
        execute(on.dsn(), "CREATE DATABASE bucardo OWNER bucardo")
        self.command("install", "--batch", "--quiet")

    def command(self, *words: str) -> str:
        """Run one of its commands."""
        place = self._home
        done = subprocess.run(
            [
                *("bucardo", *words, "--no-bucardorc"),
                *("--dbhost", self._on.host, "--dbport", str(self._on.port)),
                *("--dbname", "bucardo", "--dbuser", "bucardo"),
                *("--dbpass", "bucardo", "--piddir", str(place)),
                *("--log-destination", str(place)),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            env={**os.environ, "PGPASSWORD": "bucardo"},
            cwd=place,
        )
        if done.returncode:
            said = f"{done.stdout} {done.stderr}".strip()[-600:]
            raise RuntimeError(f"bucardo {' '.join(words)}: {said}")
        return done.stdout

    def enable(self) -> None:
        """Let changes flow."""
        if not self._running:
            self.command("start", "--quiet")
            self._running = True
            # Gives an answer when a first round is done.
            self.command("kick", "bench", str(START_SECONDS))

    def close(self) -> None:
        """End it, and drop its database."""
        self.disable()
        execute(self._on.dsn(), "DROP DATABASE bucardo WITH (FORCE)")

    def disable(self) -> None:
        """Hold changes back; its triggers note them."""
        if self._running:
            self.command("stop", "--quiet")
            self._running = False
            wait_until(
                lambda: not list(self._home.glob("*.pid")), 30, "Bucardo has ended"
            )


@contextmanager
def bucardo(on: PostgresServer, ways: Ways) -> Iterator[Running]:
    """The plain table twice, kept in step by Bucardo."""
    fill = FILL.format(rows=LIVE_ROWS)
    with ExitStack() as stack:
        left, right = (
            stack.enter_context(database(on, f"bucardo_{side}", CUSTOMERS, fill))
            for side in ("left", "right")
        )
        daemon = Daemon(on)
        for name, dsn in (("left", left), ("right", right)):
            daemon.command(
                *("add", "db", name, f"dbname={database_name(dsn)}"),
                *(f"host={on.host}", f"port={on.port}", "user=bucardo"),
                "pass=bucardo",
            )
        daemon.command("add", "table", "customers", "db=left", "relgroup=bench")
        daemon.command(
            *("add", "sync", "bench", "relgroup=bench"),
            f"dbs=left:source,right:{'source' if len(ways) > 1 else 'target'}",
        )
        daemon.enable()
        stack.callback(daemon.close)
        yield Running(customers(left), customers(right), dict.fromkeys(ways, daemon))


def bucardo_results(engine: Setting, seconds: float) -> list[Result]:
    """Latency at 200 transactions a second, and single-row transactions as fast as
    they go."""
    results = []
    with _server() as on:
        theirs = flow(bucardo, on, "L", seconds=seconds, rate=200)
        ours = flow(engine, on, "L", seconds=seconds, rate=200)
        results += [
            Result(
                f"Live latency {name}, 200 tx/s, PostgreSQL 15",
                ours.p(share),
                "ms",
                theirs.p(share),
                "Bucardo",
                (Limit(1, False, of_ratio=True),),
                note,
            )
            for name, share, note in (
                ("p50", 0.5, "Bucardo on the bare table, the engine under its map"),
                ("p99", 0.99, ""),
            )
        ]
        theirs = flow(bucardo, on, "L", seconds=seconds, rate=None)
        ours = flow(engine, on, "L", seconds=seconds, rate=None)
        results.append(
            Result(
                "Live throughput, one way, PostgreSQL 15",
                ours.rate,
                "tx/s",
                theirs.rate,
                "Bucardo",
                (Limit(1, True, of_ratio=True),),
                "until the last change has arrived",
            )
        )
    return results


@contextmanager
def _server() -> Iterator[PostgresServer]:
    started = PostgresServer.start(15, DURABLE)
    try:
        yield started
    finally:
        started.stop()
