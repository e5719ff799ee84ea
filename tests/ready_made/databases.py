"""The two databases of the ready-made sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from portal.sample.ready_made.populations import Sizes
from portal.sample.ready_made.seed import seeder
from syncengine.mapping.model import Side
from tests.servers import PostgresServer


def make_databases(server: PostgresServer, sizes: Sizes) -> dict[Side, str]:
    """Both databases with all tables and rows; their connection strings by side."""

    def make(side: Side) -> str:
        dsn = server.create_database(f"ready_made_{side.value}")
        with psycopg.connect(dsn, autocommit=True) as connection:
            seeder(side, sizes)(connection)
        return dsn

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(Side, pool.map(make, Side), strict=True))
