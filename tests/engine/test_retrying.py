"""A retry that is asked for goes by the map as it is at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import Direction
from tests.engine.link import QUICK, Link
from tests.waiting import wait_until

CUSTOMERS = 2


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        # Nothing but the retry itself makes the stream look at its maps again.
        settings=replace(QUICK, configuration_every=600.0),
    )
    yield made
    made.close()


def test_a_retry_takes_the_mended_map_over_first(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, hold)"
        " VALUES ('usmf', 'C1', 'a', 'Frozen')"
    )
    wait_until(lambda: link.state.errors)
    with link.state.lock:
        leg = link.state.legs[CUSTOMERS, Direction.FINOPS_TO_DATAVERSE]
        columns = tuple(
            replace(one, values=(*one.values, ("Frozen", "7")))
            if one.finops == "hold" and one.values
            else one
            for one in leg.table_map.columns
        )
        link.state.legs[CUSTOMERS, Direction.FINOPS_TO_DATAVERSE] = replace(
            leg, table_map=replace(leg.table_map, columns=columns)
        )
        link.state.retry_all()
    wait_until(
        lambda: link.accounts().get("usmf/C1", ("", "", 0))[2] == 7,
        message=lambda: f"{link.state.errors}",
    )
    assert [state for _, state in link.state.closed] == ["resolved"]
    assert not link.state.errors
