"""An earlier change of a record, written late, leaves the error of a later one open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import OnError
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(GROUPS, replace(CUSTOMERS, on_error=OnError.TRANSACTION)),
    )
    yield made
    made.close()


def test_a_change_that_is_held_back_is_not_taken_for_done(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'C1', 'a')"
    )
    wait_until(link.accounts)
    link.stop()
    link.erp.execute("UPDATE customers SET credit = 1 WHERE account = 'C1'")
    with link.erp.transaction():
        link.erp.execute("UPDATE customers SET credit = 2 WHERE account = 'C1'")
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name)"
            " VALUES ('usmf', 'C2', repeat('x', 50))"
        )
    link.start(None)
    wait_until(lambda: len(link.state.errors) == 2)
    credit = "SELECT credit FROM accounts WHERE accountnumber = 'C1'"
    wait_until(lambda: link.crm.execute(credit).fetchone() == (1,))
    assert len(link.state.errors) == 2
    link.erp.execute("UPDATE customers SET name = 'short' WHERE account = 'C2'")
    wait_until(lambda: not link.state.errors, message=lambda: f"{link.state.errors}")
    assert link.crm.execute(credit).fetchone() == (2,)
