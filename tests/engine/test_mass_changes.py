"""Waves of deletes and updates are held for approval; everything else goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import Direction
from syncengine.ports import GuardRule, LegMode
from tests.engine.link import Link
from tests.waiting import wait_until

GROUPS, CUSTOMERS = 1, 2
ONWARD = Direction.FINOPS_TO_DATAVERSE
ROWS = 300


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(), make_database())
    made.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) "
        "SELECT 'usmf', 'C' || n, 'Name' FROM generate_series(1, %s) n",
        [ROWS],
    )
    made.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold) "
        "SELECT c.id, 'C' || n, 'Name', 3, 0 FROM companies c, "
        "generate_series(1, %s) n WHERE c.code = 'USMF'",
        [ROWS],
    )
    made.start()
    # What was written before the streams began has been carried over behind these.
    made.erp.execute("INSERT INTO groups VALUES ('usmf', 'ERP', '')")
    made.crm.execute(
        "INSERT INTO crmgroups (company, groupid) "
        "SELECT id, 'CRM' FROM companies WHERE code = 'USMF'"
    )
    wait_until(lambda: _groups(made) == (2, 2))
    yield made
    made.close()


def _groups(link: Link) -> tuple[int, int]:
    return (
        link.erp.execute("SELECT count(*) FROM groups").fetchall()[0][0],
        link.crm.execute("SELECT count(*) FROM crmgroups").fetchall()[0][0],
    )


def guard(link: Link, rule: GuardRule) -> None:
    with link.state.lock:
        for key, leg in link.state.legs.items():
            link.state.legs[key] = replace(leg, guard=rule)
    link.set_mode(CUSTOMERS, LegMode.LIVE)


def leg_mode(link: Link) -> LegMode:
    return link.state.legs[CUSTOMERS, ONWARD].mode


def approve(link: Link) -> None:
    with link.state.lock:
        leg = link.state.legs[CUSTOMERS, ONWARD]
        link.state.legs[CUSTOMERS, ONWARD] = replace(
            leg, mode=LegMode.DRAIN, approved_through=leg.queued_through
        )
        link.state.revision += 1


def test_a_wave_of_deletes_is_held_and_other_maps_go_on(link: Link) -> None:
    guard(link, GuardRule())
    link.erp.execute("DELETE FROM customers WHERE account < 'C2'")
    wait_until(lambda: bool(link.state.held))
    link.erp.execute("INSERT INTO groups VALUES ('usmf', 'G1', 'Goes on')")
    wait_until(lambda: _groups(link) == (3, 3))
    (wave,) = link.state.held
    assert (wave.kind, wave.count, wave.rows) == ("delete", 111, ROWS)
    assert wave.sample[0] == ("usmf", "C1")
    assert len(link.accounts()) == ROWS
    assert leg_mode(link) is LegMode.QUEUE
    # What follows keeps its order behind the wave.
    link.erp.execute("INSERT INTO customers VALUES ('usmf', 'C1', 'Again')")
    wait_until(lambda: len(link.state.queue[CUSTOMERS, ONWARD]) == 112)
    approve(link)
    link.equal()
    wait_until(lambda: leg_mode(link) is LegMode.LIVE)
    assert link.accounts()["usmf/C1"][0] == "Again"
    assert len(link.state.held) == 1


def test_deletes_one_by_one_are_a_wave_as_well(link: Link) -> None:
    guard(link, GuardRule())
    for number in range(1, 160):
        link.erp.execute("DELETE FROM customers WHERE account = %s", [f"C{number}"])
    wait_until(lambda: bool(link.state.held))
    # Within the allowed share they went through: a hundred of three hundred at most.
    wait_until(lambda: len(link.state.queue[CUSTOMERS, ONWARD]) >= 59)
    assert len(link.accounts()) >= ROWS - 100


def test_few_deletes_of_a_small_table_and_of_a_large_one_pass(link: Link) -> None:
    guard(link, GuardRule(rows=10))
    link.erp.execute("DELETE FROM customers WHERE account IN ('C1','C2','C3','C4')")
    link.equal()
    link.erp.execute("DELETE FROM customers WHERE account LIKE 'C10_'")
    link.equal()
    assert not link.state.held


def test_updates_are_guarded_where_the_map_says_so(link: Link) -> None:
    guard(link, GuardRule(updates_percent=50))
    link.erp.execute("UPDATE customers SET name = 'New'")
    wait_until(lambda: bool(link.state.held))
    assert link.state.held[0].kind == "update"
    assert link.accounts()["usmf/C7"][0] == "Name"
    approve(link)
    link.equal()


def test_a_guard_that_is_off_lets_everything_pass(link: Link) -> None:
    guard(link, GuardRule(deletes_percent=0))
    link.erp.execute("DELETE FROM customers")
    link.equal()
    assert not link.state.held


def test_a_wave_made_during_a_pause_is_held_when_it_resumes(link: Link) -> None:
    guard(link, GuardRule())
    link.set_mode(CUSTOMERS, LegMode.QUEUE)
    link.erp.execute("DELETE FROM customers WHERE account < 'C2'")
    wait_until(lambda: len(link.state.queue[CUSTOMERS, ONWARD]) == 111)
    link.state.set_mode(CUSTOMERS, LegMode.DRAIN)
    wait_until(lambda: bool(link.state.held))
    assert len(link.accounts()) == ROWS
    assert leg_mode(link) is LegMode.QUEUE
    approve(link)
    link.equal()


def test_one_large_transaction_is_held_before_it_is_applied(link: Link) -> None:
    guard(link, GuardRule())
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) "
        "SELECT 'usmf', 'L' || n, 'Name' FROM generate_series(1, 12000) n"
    )
    wait_until(lambda: len(link.accounts()) == ROWS + 12_000, 60)
    link.erp.execute("DELETE FROM customers WHERE account LIKE 'L%'")
    wait_until(lambda: bool(link.state.held))
    assert link.state.held[0].count == 12_000
    wait_until(lambda: len(link.state.queue[CUSTOMERS, ONWARD]) == 12_000, 60)
    assert len(link.accounts()) == ROWS + 12_000
