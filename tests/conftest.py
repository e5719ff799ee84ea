"""Servers and databases for every test; Django only where a test needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests import dividing
from tests.properties import choose_profile
from tests.servers import (
    PostgresServer,
    RedisServer,
    database_name,
    directory,
    ground,
)

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_DJANGO = ("mapping", "connectors", "engine")

choose_profile()  # before any test is read: settings are taken from it there


def needs_django(arguments: list[str]) -> bool:
    """Whether any of the tests asked for stands above the third floor."""
    floors = [ROOT / "tests" / name for name in WITHOUT_DJANGO]
    paths = [Path(argument.split("::")[0]).resolve() for argument in arguments]
    return not paths or not all(
        any(path.is_relative_to(floor) for floor in floors) for path in paths
    )


def divides_tests(config: pytest.Config) -> bool:
    """Whether this process only hands tests out to others (pytest-xdist). Each of
    those starts servers of its own."""
    workers = config.getoption("numprocesses", None)
    return bool(workers) and "PYTEST_XDIST_WORKER" not in os.environ


def pytest_configure(config: pytest.Config) -> None:
    if divides_tests(config):
        # Importing the portal set it; the others must have their servers first.
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        return
    if not needs_django(config.args):
        return
    postgres, redis = ground.postgres(), ground.redis()
    os.environ.setdefault("DATABASE_URL", postgres.dsn())
    os.environ.setdefault("REDIS_URL", redis.url)
    os.environ["DUALWRITE_DATA"] = str(directory())
    os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 40)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    # pytest-django sets Django up after this hook, when settings are configured.
    from django.conf import settings

    assert settings.DATABASES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    dividing.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> dividing.InOrder | None:
    return dividing.scheduler(config, log)


def pytest_unconfigure() -> None:
    if "tests.servers" in sys.modules:
        ground.end()


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """PostgreSQL 18, shared by the session; every test makes its own databases."""
    return ground.postgres()


@pytest.fixture(scope="session")
def postgres15() -> PostgresServer:
    """Debian's PostgreSQL 15, for what must hold on older servers too."""
    return ground.postgres15()


@pytest.fixture(scope="session")
def valkey() -> RedisServer:
    return ground.redis()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, postgres: PostgresServer) -> Iterator[None]:
    """The tests' database; and, before a test writes there, a copy of it to copy
    further, for migrating takes a while."""
    from django.db import connection
    from django.db.backends.base.creation import TEST_DATABASE_PREFIX

    name = str(connection.settings_dict["NAME"])
    if not name.startswith(TEST_DATABASE_PREFIX):  # no test asked for one
        yield
        return
    connection.close()
    dsn = postgres.create_database("migrated", name)
    ground.migrated = database_name(dsn)
    yield
    postgres.drop_database(dsn)


@pytest.fixture(scope="session")
def migrated(django_db_setup: None) -> str:
    """The name of a database with the portal's tables as migrations leave them, or
    nothing when no test so far needed them."""
    return ground.migrated


@pytest.fixture
def make_database(postgres: PostgresServer) -> Iterator[Callable[..., str]]:
    """Makes databases that are dropped, with sessions and slots, after the test."""
    made: list[tuple[PostgresServer, str]] = []

    def make(server: PostgresServer | None = None, prefix: str = "test") -> str:
        chosen = server or postgres
        dsn = chosen.create_database(prefix)
        made.append((chosen, dsn))
        return dsn

    yield make
    for server, dsn in made:
        server.drop_database(dsn)


@pytest.fixture
def database(make_database: Callable[..., str]) -> str:
    """The connection URL of one fresh database."""
    return make_database()
