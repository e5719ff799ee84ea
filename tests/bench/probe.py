"""Watches single rows travel: from a successful commit until another client sees it."""

from __future__ import annotations

import time

import psycopg

from tests.bench.load import Table

PER_SECOND = 25.0
LOOK_EVERY = 0.0003
LONGEST = 60.0
FIRST = 900_000_000


class Probe:
    """Inserts rows of its own beside a running load and times their arrival."""

    def __init__(self, source: Table, target: Table, prefix: str) -> None:
        self._source, self._target, self._prefix = source, target, prefix

    def run(self, seconds: float) -> list[float]:
        """Latencies in seconds, some `PER_SECOND`, each row awaited before the next."""
        found: list[float] = []
        deadline = time.perf_counter() + seconds
        with (
            psycopg.connect(self._source.dsn, autocommit=True) as here,
            psycopg.connect(self._target.dsn, autocommit=True) as there,
        ):
            number = FIRST
            while (began := time.perf_counter()) < deadline:
                here.execute(self._source.mark_statement(self._prefix, number))
                found.append(self._wait(there, number))
                number += 3
                time.sleep(max(0.0, began + 1 / PER_SECOND - time.perf_counter()))
        return found

    def _wait(
        self, there: psycopg.Connection[tuple[object, ...]], number: int
    ) -> float:
        committed = time.perf_counter()
        query = self._target.seen_statement(self._prefix, number)
        while there.execute(query).fetchone() is None:
            if time.perf_counter() - committed > LONGEST:
                raise RuntimeError(f"a row did not arrive within {LONGEST:.0f} s")
            time.sleep(LOOK_EVERY)
        return time.perf_counter() - committed
