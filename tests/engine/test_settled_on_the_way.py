"""A conflict is settled while later changes of the record are on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from syncengine.mapping.model import Side
from tests.engine.link import Link
from tests.waiting import wait_until


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


@pytest.mark.parametrize("later", list(Side))
def test_both_sides_end_equal_where_the_winner_is_an_earlier_value_of_the_loser(
    link: Link, later: Side
) -> None:
    """One side goes a, b, c; then the other goes a, b and wins. The change to c finds
    the b before it on the other side, and that may have come from the settlement."""
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'C1', 'a')"
    )
    wait_until(link.accounts)
    link.stop()
    update = {
        Side.FINOPS: (link.erp, "UPDATE customers SET name = %s"),
        Side.DATAVERSE: (link.crm, "UPDATE accounts SET name = %s"),
    }
    read = {
        Side.FINOPS: (link.erp, "SELECT name FROM customers"),
        Side.DATAVERSE: (link.crm, "SELECT name FROM accounts"),
    }
    earlier = later.other
    for name in ("b", "c"):
        update[earlier][0].execute(update[earlier][1], [name])
    update[later][0].execute(update[later][1], ["b"])
    link.start(None, sides=(later,))
    connection, query = read[earlier]
    wait_until(lambda: connection.execute(query).fetchone() == ("b",))
    link.stop()
    link.start(None)
    wait_until(lambda: link.state.conflicts)
    link.equal(30)
