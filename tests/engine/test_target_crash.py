"""The target server crashes: what it forgot is written again, nothing is doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.engine.link import Link
from tests.servers import PostgresServer
from tests.waiting import wait_until


@pytest.fixture
def target() -> Iterator[PostgresServer]:
    """A server of its own, so that nobody else crashes with it."""
    server = PostgresServer.start(version=18)
    yield server
    server.stop()


def test_commits_the_target_forgot_in_a_crash_are_written_again(
    make_database: Callable[..., str], target: PostgresServer
) -> None:
    crm = target.create_database("crm")
    link = Link(make_database(prefix="erp"), crm)
    stop = threading.Event()
    written = 0

    def work() -> None:
        nonlocal written
        while not stop.is_set():
            written += 1
            link.erp.execute(
                "INSERT INTO customers (dataareaid, account, name, credit) "
                "VALUES ('usmf', %s, 'a', %s)",
                [f"K{written}", written],
            )
            link.erp.execute(
                "UPDATE customers SET memo = 'x' WHERE account = %s",
                [f"K{written - 1}"],
            )

    worker = threading.Thread(target=work)
    try:
        link.start()
        worker.start()
        for _ in range(3):
            before = written
            wait_until(lambda before=before: written > before + 60)
            target.kill()
            target.resume()
        stop.set()
        worker.join()
        link.crm.close()
        link.crm = psycopg.connect(crm, autocommit=True)
        link.equal(60)
        assert len(link.accounts()) == written
        assert not link.state.errors
    finally:
        stop.set()
        worker.join()
        link.close()
        target.drop_database(crm)
