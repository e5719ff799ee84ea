"""The target is away for long: changes go into the journal, the source's log does not
grow, and everything arrives once, in order, when it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from syncengine.mapping.model import Side
from syncengine.ports import LegMode, LogBudget
from tests.engine.link import Link
from tests.servers import PostgresServer
from tests.waiting import wait_until

SOON = LogBudget(spool_after_seconds=0.3)


@pytest.fixture(scope="module")
def target() -> Iterator[PostgresServer]:
    """A server of its own, so that nobody else goes away with it."""
    server = PostgresServer.start(version=18)
    yield server
    server.stop()


@pytest.fixture
def link(make_database: Callable[..., str], target: PostgresServer) -> Iterator[Link]:
    crm = target.create_database("crm")
    made = Link(make_database(prefix="erp"), crm)
    made.state.budget = SOON
    yield made
    if target.cluster is not None and not target.cluster.running:
        target.resume()
    made.close()
    target.drop_database(crm)


def back(link: Link, target: PostgresServer) -> None:
    """The target is there again, and the test's own connection to it."""
    target.resume()
    link.crm.close()
    link.crm = psycopg.connect(link.dataverse.settings.dsn, autocommit=True)


def spooling(link: Link) -> None:
    wait_until(
        lambda: link.reports("spooling"),
        message=lambda: f"{link.state.reports}",
    )


def add(link: Link, prefix: str, rows: int) -> None:
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, credit) "
        "SELECT 'usmf', %s || n, 'a', n FROM generate_series(1, %s) n",
        [prefix, rows],
    )


def waiting_bytes(link: Link) -> int:
    """Of the source's log; very many while there is no slot."""
    held = link.finops.held_log(link.name)
    return held.unconfirmed_bytes if held is not None else 2**40


def test_changes_are_spooled_while_the_target_is_away_and_arrive_once(
    link: Link, target: PostgresServer
) -> None:
    link.start()
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
    worker.start()
    try:
        wait_until(lambda: written > 100)
        target.kill()
        spooling(link)
        before = written
        wait_until(lambda: written > before + 300)
    finally:
        stop.set()
        worker.join()
    # What the target cannot take does not pile up in the source's log.
    wait_until(lambda: waiting_bytes(link) < 20_000)
    assert sum(len(queue) for queue in link.state.queue.values()) > 300
    back(link, target)
    link.equal(60)
    assert len(link.accounts()) == written
    assert not link.state.errors
    assert not link.state.conflicts
    wait_until(lambda: link.state.legs[2, _forward(link)].mode is LegMode.LIVE)
    add(link, "L", 3)
    link.equal()
    assert not any(link.state.queue.values())


def _forward(link: Link) -> object:
    return next(key[1] for key in link.state.legs if key[1].source is Side.FINOPS)


def test_a_worker_that_starts_during_the_outage_spools_too(
    link: Link, target: PostgresServer
) -> None:
    link.start()
    add(link, "A", 5)
    link.equal()
    link.stop()
    target.kill()
    link.erp.execute("UPDATE customers SET name = 'b' WHERE account = 'A1'")
    link.erp.execute("UPDATE customers SET name = 'c' WHERE account = 'A1'")
    link.erp.execute("DELETE FROM customers WHERE account = 'A2'")
    link._stop.clear()
    thread = threading.Thread(target=link._run, args=(Side.FINOPS,), daemon=True)
    link._threads = [thread]
    thread.start()
    spooling(link)
    wait_until(lambda: len(link.state.queue[2, _forward(link)]) >= 3)
    keys = [entry.key for entry in link.state.queue[2, _forward(link)]]
    assert keys[-3:] == [("usmf", "A1"), ("usmf", "A1"), ("usmf", "A2")]
    back(link, target)
    link.equal(30)
    assert not link.state.errors
    assert not link.state.conflicts


def test_a_short_outage_fills_no_queue(link: Link, target: PostgresServer) -> None:
    link.state.budget = LogBudget(spool_after_seconds=600)
    link.start()
    target.kill()
    add(link, "A", 5)
    wait_until(lambda: link.reports("retrying"))
    back(link, target)
    link.equal(30)
    assert not any(link.state.queue.values())


def test_more_log_than_the_soft_limit_spools_at_once(
    link: Link, target: PostgresServer
) -> None:
    link.state.budget = LogBudget(spool_after_seconds=600, spool_bytes=200_000)
    link.start()
    target.kill()
    add(link, "A", 5)
    wait_until(lambda: link.reports("retrying"))
    add(link, "B", 3000)
    spooling(link)
    wait_until(lambda: waiting_bytes(link) < 100_000)
    back(link, target)
    link.equal(60)
    assert not link.state.errors


def test_a_slot_that_was_dropped_is_a_gap_and_made_anew(link: Link) -> None:
    link.start()
    add(link, "A", 3)
    link.equal()
    assert link.state.gaps == []
    link.finops.release_log(link.name)
    wait_until(lambda: link.state.gaps, message=lambda: f"{link.state.reports}")
    assert link.state.gaps[0][0] is Side.FINOPS
    assert "was dropped" in link.state.gaps[0][1]
    wait_until(lambda: link.finops.held_log(link.name) is not None)
    wait_until(lambda: link.reports("running"))
    add(link, "B", 3)
    wait_until(lambda: "usmf/B3" in link.accounts())
    assert len(link.state.gaps) == 1


def test_a_slot_that_was_made_anew_by_hand_is_a_gap(link: Link) -> None:
    link.start()
    add(link, "A", 3)
    link.equal()
    link.stop()
    link.finops.release_log(link.name)
    add(link, "M", 1)
    link.finops.install(link.name, ["groups", "customers"])
    link.start(mode=None)
    wait_until(lambda: link.state.gaps)
    assert "made anew or moved" in link.state.gaps[0][1]
    link.stop()
    link.start(mode=None)
    add(link, "B", 3)
    wait_until(lambda: "usmf/B3" in link.accounts())
    assert len(link.state.gaps) == 1
    assert "usmf/M1" not in link.accounts()


def test_restarts_and_kills_are_no_gaps(link: Link, target: PostgresServer) -> None:
    link.start()
    for number in range(3):
        add(link, f"A{number}x", 20)
        link.stop()
        link.start(mode=None)
    target.kill()
    back(link, target)
    link.equal(30)
    assert link.state.gaps == []


def test_a_table_emptied_with_truncate_asks_for_a_comparison(link: Link) -> None:
    link.start()
    add(link, "A", 3)
    link.equal()
    link.erp.execute("TRUNCATE customers")
    wait_until(lambda: link.state.truncated == ["customers"])


def test_a_log_beyond_the_limit_is_released(link: Link, target: PostgresServer) -> None:
    link.start()
    add(link, "A", 3)
    link.equal()
    link.stop()
    add(link, "B", 3000)
    wait_until(lambda: waiting_bytes(link) > 200_000)
    link.state.budget = LogBudget(limit_bytes=200_000)
    link.start(mode=None)
    wait_until(lambda: link.state.gaps)
    assert "more than the limit" in link.state.gaps[0][1]
    wait_until(lambda: waiting_bytes(link) < 100_000)
    add(link, "C", 3)
    wait_until(lambda: "usmf/C3" in link.accounts())
    assert "usmf/B1" not in link.accounts()
