"""Environments on real servers for the connector's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.connector import PostgresConnector
from syncengine.mapping.model import Side
from syncengine.mapping.schema import CompanyRule
from tests.servers import PostgresServer


@dataclass
class Ground:
    """One database: its connection URL, and SQL as its owner."""

    dsn: str
    server: PostgresServer

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            yield connection

    def connector(
        self,
        dsn: str | None = None,
        company: CompanyRule | None = None,
        side: Side = Side.FINOPS,
    ) -> PostgresConnector:
        settings = ConnectionSettings(
            name="erp",
            side=side,
            connector="postgres",
            dsn=dsn or self.dsn,
            company=company,
        )
        return PostgresConnector(settings)


@pytest.fixture
def ground(postgres: PostgresServer, make_database: Callable[..., str]) -> Ground:
    """A fresh database on the newest server."""
    return Ground(make_database(postgres), postgres)


@pytest.fixture(params=["postgres15", "postgres"])
def any_ground(
    request: pytest.FixtureRequest, make_database: Callable[..., str]
) -> Ground:
    """A fresh database on each supported server in turn."""
    server: PostgresServer = request.getfixturevalue(request.param)
    return Ground(make_database(server), server)


@pytest.fixture
def role(any_ground: Ground) -> Iterator[str]:
    """An ordinary login role on the server of `any_ground`."""
    import uuid

    name = f"sync_{uuid.uuid4().hex[:8]}"
    any_ground.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    yield name
    any_ground.execute(f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")
