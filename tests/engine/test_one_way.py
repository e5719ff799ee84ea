"""Maps of one direction beside maps of both, on the same two streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import ColumnMap, ColumnMapType
from syncengine.ports import LegMode
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until

ONE_WAY = replace(
    CUSTOMERS,
    columns=(
        ColumnMap("account", "accountnumber", ColumnMapType.TO_DATAVERSE),
        ColumnMap("name", "name", ColumnMapType.TO_DATAVERSE),
    ),
    dataverse_filter="",
)
"""Its tables are referred to by none of the other map's."""


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(GROUPS, ONE_WAY),
    )
    yield made
    made.close()


def test_all_legs_go_live_where_a_map_flows_one_way_only(link: Link) -> None:
    link.start(LegMode.DRAIN)
    wait_until(
        lambda: all(leg.mode is LegMode.LIVE for leg in link.state.legs.values()),
        message=lambda: f"{[leg.mode for leg in link.state.legs.values()]}",
    )
    link.erp.execute("INSERT INTO groups VALUES ('usmf', '10', 'Ten')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'C1', 'One')"
    )
    names = "SELECT name FROM accounts"
    wait_until(lambda: link.crm.execute(names).fetchall() == [("One",)])
    wait_until(lambda: link.crm.execute("SELECT 1 FROM crmgroups").fetchone())
    link.crm.execute("UPDATE accounts SET name = 'Eins'")
    link.crm.execute("UPDATE crmgroups SET description = 'Zehn'")
    description = "SELECT description FROM groups"
    wait_until(lambda: link.erp.execute(description).fetchall() == [("Zehn",)])
    assert link.erp.execute("SELECT name FROM customers").fetchall() == [("One",)]
