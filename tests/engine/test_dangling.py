"""Records known by the key of one that their source does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from syncengine.ports import LegMode
from tests.engine.link import Link
from tests.engine.lookups import CRM, ERP, MAPS
from tests.waiting import wait_until


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=MAPS,
        tables=(ERP, CRM),
    )
    yield made
    made.close()


def add_prices(link: Link, *categories: object) -> None:
    """Prices of categories that need not be there, as in systems without foreign
    keys."""
    link.crm.execute("SET session_replication_role = replica")
    for number, category in enumerate(categories):
        link.crm.execute(
            "INSERT INTO prices (category, price) VALUES (%s, %s)", [category, number]
        )
    link.crm.execute("RESET session_replication_role")


def prices(link: Link) -> list[tuple]:
    return link.erp.execute(
        "SELECT hierarchy, category, price FROM prices ORDER BY 3"
    ).fetchall()


def test_each_of_them_waits_and_arrives_when_the_other_one_does(link: Link) -> None:
    link.start()
    pens, paper = uuid4(), uuid4()
    add_prices(link, pens, paper)
    wait_until(lambda: len(link.state.errors) == 2, 15, "both are in the error list")
    link.crm.execute(
        "WITH h AS (INSERT INTO hierarchies (name) VALUES ('Sales') RETURNING *)"
        " INSERT INTO categories (categoryid, hierarchy, name)"
        " SELECT given.id, hierarchyid, given.name FROM h,"
        " (VALUES (%s::uuid, 'Pens'), (%s::uuid, 'Paper')) AS given (id, name)",
        [pens, paper],
    )
    link.settled()
    link.state.retry_all()
    wait_until(lambda: not link.state.errors, 15, "no error is left")
    assert prices(link) == [("Sales", "Pens", 0), ("Sales", "Paper", 1)]


def test_one_whose_reference_leads_nowhere_stays_in_the_list(link: Link) -> None:
    link.start()
    add_prices(link, uuid4())
    wait_until(lambda: bool(link.state.errors), 15, "it is in the error list")
    link.state.retry_all()
    wait_until(
        lambda: not any(error.retry for error in link.state.errors.values()),
        15,
        "it was tried again",
    )
    assert len(link.state.errors) == 1
    assert prices(link) == []


def test_one_that_is_no_more_waits_for_nothing(link: Link) -> None:
    """It was deleted with the one it refers to, while nobody could tell its key."""
    link.start()
    add_prices(link, uuid4(), uuid4())
    wait_until(lambda: len(link.state.errors) == 2, 15, "both are in the error list")
    link.set_mode(4, LegMode.OFF)
    link.crm.execute("DELETE FROM prices WHERE price = 0")
    link.set_mode(4, LegMode.LIVE)
    link.state.retry_all()
    wait_until(lambda: len(link.state.errors) == 1, 15, "one is left")
    wait_until(
        lambda: not any(error.retry for error in link.state.errors.values()),
        15,
        "it was tried again",
    )
    assert len(link.state.errors) == 1
