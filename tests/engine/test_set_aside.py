"""Changes set aside are carried over later and never over newer data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import Direction, Side
from syncengine.ports import LegMode
from tests.engine.link import Link
from tests.waiting import wait_until

CUSTOMERS = 2


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


def begin(link: Link) -> None:
    """Six customers on both sides, then the map pauses."""
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, memo, credit) "
        "SELECT 'usmf', 'C' || n, 'old', 'old', 0 FROM generate_series(1, 6) n"
    )
    link.equal()
    link.set_mode(CUSTOMERS, LegMode.QUEUE)


def queued(link: Link, number: int) -> None:
    wait_until(
        lambda: (
            sum(len(q) for k, q in link.state.queue.items() if k[0] == CUSTOMERS)
            == number
        ),
        message=lambda: f"{link.state.queue}",
    )


def skip(link: Link) -> None:
    """What is queued is set aside, and the map goes live."""
    state = link.state
    with state.lock:
        for key, leg in state.legs.items():
            if key[0] == CUSTOMERS:
                state.aside[key] = state.queue[key]
                state.queue[key] = []
                state.legs[key] = replace(
                    leg, mode=LegMode.DRAIN, set_aside=bool(state.aside[key])
                )
        state.revision += 1
    wait_until(
        lambda: all(
            leg.mode is LegMode.LIVE
            for key, leg in state.legs.items()
            if key[0] == CUSTOMERS
        )
    )
    link.settled()


def replay(link: Link) -> None:
    """Carry over what is set aside, to the end."""
    state = link.state
    with state.lock:
        for key, leg in state.legs.items():
            if leg.set_aside:
                state.legs[key] = replace(leg, replay=True)
        state.revision += 1
    wait_until(
        lambda: not any(leg.set_aside for leg in state.legs.values()),
        message=lambda: f"{state.aside} {state.reports}",
    )


def update(link: Link, account: str, **values: object) -> None:
    for column, value in values.items():
        link.erp.execute(
            f"UPDATE customers SET {column} = %s WHERE account = %s", [value, account]
        )


def test_what_is_set_aside_arrives_later_from_the_present_rows(link: Link) -> None:
    begin(link)
    update(link, "C1", name="paused", memo="paused")
    link.erp.execute("DELETE FROM customers WHERE account = 'C2'")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'N1', 'n')"
    )
    queued(link, 4)
    skip(link)
    update(link, "C3", name="live")
    wait_until(lambda: link.accounts()["usmf/C3"][0] == "live")
    before = link.accounts()
    assert before["usmf/C1"][0] == "old"
    assert "usmf/C2" in before
    assert "usmf/N1" not in before
    replay(link)
    link.equal()
    assert link.accounts()["usmf/C1"][0] == "paused"
    assert not link.state.errors
    assert not link.state.conflicts


def test_a_live_change_takes_what_is_set_aside_of_its_record_along(link: Link) -> None:
    begin(link)
    update(link, "C1", name="first", memo="first")
    update(link, "C4", memo="waits")
    queued(link, 3)
    skip(link)
    update(link, "C1", name="second")
    wait_until(lambda: link.accounts()["usmf/C1"][0] == "second")
    # The other column came along, without a conflict; the other record still waits.
    assert link.accounts()["usmf/C1"][4] == "first"
    assert link.accounts()["usmf/C4"][4] == "old"
    forward = (CUSTOMERS, Direction.from_source(Side.FINOPS))
    wait_until(lambda: len(link.state.aside[forward]) == 1)
    assert not link.state.conflicts
    replay(link)
    link.equal()


def test_nothing_newer_is_overwritten(link: Link) -> None:
    begin(link)
    update(link, "C1", name="paused")
    update(link, "C2", name="paused")
    link.crm.execute(
        "UPDATE accounts SET description = 'kept' WHERE accountnumber = 'C5'"
    )
    queued(link, 3)
    skip(link)
    # A later change on the other side travels back at once and is the newer one.
    link.crm.execute("UPDATE accounts SET name = 'newer' WHERE accountnumber = 'C1'")
    link.crm.execute("UPDATE accounts SET credit = 7 WHERE accountnumber = 'C2'")
    wait_until(lambda: link.customers()["usmf/C2"][3] == 7)
    wait_until(lambda: link.customers()["usmf/C1"][0] == "newer")
    replay(link)
    link.equal()
    assert link.accounts()["usmf/C1"][0] == "newer"
    assert link.accounts()["usmf/C2"][:1] == ("paused",)
    assert link.accounts()["usmf/C2"][3] == 7
    assert link.customers()["usmf/C5"][4] == "kept"
    assert not link.state.errors


def test_a_record_deleted_and_made_anew_meanwhile_stays(link: Link) -> None:
    begin(link)
    link.erp.execute("DELETE FROM customers WHERE account = 'C1'")
    queued(link, 1)
    skip(link)
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, memo, credit) "
        "VALUES ('usmf', 'C1', 'old', 'old', 0)"
    )
    replay(link)
    link.equal()
    assert "usmf/C1" in link.accounts()


def test_queues_of_several_maps_are_replayed_in_commit_order(link: Link) -> None:
    link.start()
    for number in (1, CUSTOMERS):
        link.set_mode(number, LegMode.QUEUE)
    for number in range(20):
        with link.erp.transaction():
            link.erp.execute(
                "INSERT INTO customers (dataareaid, account, name) "
                "VALUES ('usmf', %s, 'a')",
                [f"P{number}"],
            )
            link.erp.execute(
                "INSERT INTO groups VALUES ('usmf', %s, '')", [str(number)]
            )
        link.erp.execute(
            "UPDATE customers SET groupid = %s WHERE account = %s",
            [str(number), f"P{number}"],
        )
    wait_until(lambda: sum(len(q) for q in link.state.queue.values()) == 60)
    with link.state.lock:
        for key, leg in link.state.legs.items():
            link.state.legs[key] = replace(leg, mode=LegMode.DRAIN)
        link.state.revision += 1
    link.equal()
    assert not link.state.errors
    assert not link.state.closed
