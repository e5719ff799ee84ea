"""One portal with a real worker and beat for all tests of this directory. It ends
with the last of them: its clocks tick, and would take time from other tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.jobs.pair import Pair
from tests.jobs.portal import Portal
from tests.servers import PostgresServer, RedisServer


@pytest.fixture(scope="package")
def shared_portal(
    postgres: PostgresServer, valkey: RedisServer, migrated: str
) -> Iterator[Portal]:
    made = Portal(postgres, valkey, migrated)
    yield made
    made.close()


@pytest.fixture
def portal(shared_portal: Portal) -> Portal:
    """The portal with its worker running, whatever earlier tests did to it."""
    shared_portal.start()
    return shared_portal


@pytest.fixture
def make_pair(portal: Portal) -> Iterator[Callable[..., Pair]]:
    """Makes pairs of linked databases that are gone after the test."""
    made: list[Pair] = []

    def make(
        *,
        sample: bool = False,
        apply: bool = True,
        server: PostgresServer | None = None,
    ) -> Pair:
        pair = Pair(portal, sample=sample, server=server)
        made.append(pair)
        if apply:
            pair.apply()
        return pair

    yield make
    portal.start()
    for pair in made:
        pair.close()
