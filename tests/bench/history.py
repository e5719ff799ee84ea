"""The history beside measured streams, kept as the portal keeps it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import psycopg

from portal.history.recording import Recorder
from tests.bench import cluster
from tests.servers import PostgresServer

VARIABLE = "BENCH_HISTORY"
GAPS = """
CREATE TABLE history_historygap (began_at timestamptz, ended_at timestamptz,
    map_id bigint, direction text, records bigint)
"""


@contextmanager
def kept(on: PostgresServer, rate: int) -> Iterator[None]:
    """Streams that are started meanwhile keep so many records a second; none with 0."""
    if not rate:
        yield
        return
    tables = import_module("portal.history.migrations.0001_initial")
    with cluster.database(on, "history", tables.TABLE, tables.DAYS, GAPS) as dsn:
        os.environ[VARIABLE] = f"{rate} {dsn}"
        try:
            yield
        finally:
            del os.environ[VARIABLE]


def recorder() -> Recorder | None:
    """The recorder of a stream's process, where the history is kept."""
    rate, _, dsn = os.environ.get(VARIABLE, "").partition(" ")
    if not dsn:
        return None
    return Recorder(lambda: psycopg.connect(dsn, autocommit=True), float(rate))
