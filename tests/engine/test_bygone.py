"""Children known by their parent's key, deleted together with the parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from syncengine.mapping.model import TableMap
from syncengine.ports import LegMode
from tests.engine.link import Link
from tests.engine.lookups import CRM, ERP, ITEMS, MAPS, PRICES
from tests.waiting import wait_until

FILL = (
    "INSERT INTO hierarchies VALUES ('Sales'), ('Buy')",
    "INSERT INTO categories VALUES ('Sales', 'Pens'), ('Buy', 'Ink')",
    "INSERT INTO prices VALUES ('Sales', 'Pens', 1), ('Buy', 'Ink', 2)",
)
REMOVE = (
    "DELETE FROM prices USING categories c WHERE category = c.categoryid"
    " AND c.name = 'Pens'",
    "DELETE FROM categories WHERE name = 'Pens'",
    "DELETE FROM hierarchies WHERE name = 'Sales'",
)


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


@pytest.mark.parametrize("together", [True, False])
def test_a_family_that_was_deleted_while_nobody_looked_is_deleted_there_too(
    link: Link, together: bool
) -> None:
    link.start(LegMode.LIVE)
    for statement in FILL:
        link.erp.execute(statement)
    prices = "SELECT count(*) FROM prices"
    wait_until(
        lambda: link.crm.execute(prices).fetchone() == (2,),
        message=lambda: f"{link.state.errors} {link.failed}",
    )
    link.stop()
    if together:
        with link.crm.transaction():
            for statement in REMOVE:
                link.crm.execute(statement)
    else:
        for statement in REMOVE:
            link.crm.execute(statement)
    link.start(None)
    hierarchies = "SELECT name FROM hierarchies"
    wait_until(
        lambda: link.erp.execute(hierarchies).fetchall() == [("Buy",)],
        message=lambda: f"{link.state.errors} {link.failed}",
    )
    assert not link.state.errors
    assert link.erp.execute("SELECT category FROM prices").fetchall() == [("Ink",)]
    assert link.erp.execute("SELECT name FROM categories").fetchall() == [("Ink",)]


@pytest.mark.parametrize("others", [(), (ITEMS,)])
def test_a_queued_delete_keeps_the_key_its_parent_had(
    link: Link, others: tuple[TableMap, ...]
) -> None:
    """Drained alone, and together with other maps."""
    link.start(LegMode.LIVE)
    for statement in FILL:
        link.erp.execute(statement)
    prices = "SELECT count(*) FROM prices"
    wait_until(lambda: link.crm.execute(prices).fetchone() == (2,))
    numbers = [1 + list(MAPS).index(one) for one in (PRICES, *others)]
    for number in numbers:
        link.set_mode(number, LegMode.QUEUE)
    for statement in REMOVE:
        link.crm.execute(statement)
    hierarchies = "SELECT name FROM hierarchies"
    wait_until(lambda: link.erp.execute(hierarchies).fetchall() == [("Buy",)])
    link.stop()
    for number in numbers:
        link.state.set_mode(number, LegMode.DRAIN)
    link.start(None)
    wait_until(
        lambda: link.erp.execute(prices).fetchone() == (1,),
        message=lambda: f"{link.state.errors} {link.failed}",
    )
    assert not link.state.errors
