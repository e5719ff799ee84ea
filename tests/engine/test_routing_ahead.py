"""A backlog of many batches: the next is routed while the one before is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import Side
from tests.engine.link import QUICK, Link
from tests.waiting import wait_until

RECORDS = 40


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        settings=replace(QUICK, batch_changes=5),
    )
    yield made
    made.close()


def test_records_that_fail_in_one_batch_are_mended_by_the_next(link: Link) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CHECK (name <> 'refused')")
    link.start(sides=[Side.FINOPS])
    link.stop()
    for number in range(RECORDS):
        name = "refused" if number % 3 == 0 else "first"
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', %s, %s)",
            [f"C{number:02}", name],
        )
        # Of a batch that is routed while the insert still stands to be refused.
        for credit in range(6):
            link.erp.execute(
                "UPDATE customers SET name = 'second', credit = %s WHERE account = %s",
                [credit, f"C{number:02}"],
            )
    link.start(mode=None, sides=[Side.FINOPS])
    link.equal()
    wait_until(lambda: not link.state.errors)
    assert link.state.conflicts == []


def test_a_reference_made_by_one_batch_is_found_by_the_next(link: Link) -> None:
    link.start(sides=[Side.FINOPS])
    link.stop()
    for number in range(RECORDS):
        link.erp.execute(
            "INSERT INTO groups VALUES ('usmf', %s, 'a group')", [f"G{number}"]
        )
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, groupid) "
            "VALUES ('usmf', %s, 'a', %s)",
            [f"C{number:02}", f"G{number}"],
        )
    link.start(mode=None, sides=[Side.FINOPS])
    link.equal()
    assert not link.state.errors
