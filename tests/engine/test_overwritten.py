"""Updates that an initial copy has undone hold all the same, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from syncengine.conflicts import Settler
from syncengine.connectors.base import OperationKind, Transaction
from syncengine.live.legs import LiveLeg
from syncengine.live.overwritten import Overwritten
from syncengine.live.routing import Item, Routed
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction
from syncengine.ports import ConflictRecord, LegConfiguration, LegMode
from tests.engine.pair import CUSTOMERS_MAP, LINK, Pair

FORWARD = Direction.FINOPS_TO_DATAVERSE
NOW: Transaction = None  # type: ignore[assignment]  # not looked at


class Log:
    """The part of a Journal that settling uses."""

    def record_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Forget them."""


def image(name: str, group: str | None = "10") -> Row:
    """What the map makes of customer C1."""
    return ("USMF", "C1", name, group, "0", None, "3")


def mended(pair: Pair, *images: Row) -> int:
    """Replay a chain of updates of customer C1 that led through these images, the last
    of which the CRM holds; gives how many records had been set back."""
    forward, backward = pair.legs(CUSTOMERS_MAP)
    configuration = LegConfiguration(1, 1, FORWARD, LegMode.DRAIN, CUSTOMERS_MAP)
    leg = LiveLeg(configuration, forward, ())
    chain = Routed("", NOW)
    chain.items += [
        Item(
            *(leg, OperationKind.UPSERT, ("usmf", "C1"), (), (), ("USMF", "C1")),
            row=row,
            base=base,
        )
        for base, row in pairwise(images)
    ]
    writers = [pair.finops.writer(LINK), pair.dataverse.writer(LINK)]
    settler = Settler(*writers, Log())  # type: ignore[arg-type]
    try:
        with pair.finops.reader() as reader:
            overwritten = Overwritten(reader, settler, lambda map_id: backward)
            found = overwritten.find(leg, [chain])
            overwritten.settle(found)
            return len(found)
    finally:
        for writer in writers:
            writer.close()


@pytest.fixture
def customer(pair: Pair) -> Pair:
    """A customer that the copy gave its old name and group again in the ERP; then its
    queued update gave it the new ones in the CRM."""
    pair.add_groups("10", "20")
    pair.add_customer("C1", organizationname="Old", customergroupid="10")
    pair.add_account("C1", name="New")
    pair.crm.execute(
        "UPDATE accounts SET msdyn_customergroupid = g.msdyn_customergroupid"
        " FROM msdyn_customergroups g WHERE msdyn_groupid = '20'"
    )
    return pair


def in_erp(pair: Pair) -> tuple[str, str]:
    row = pair.erp.execute(
        "SELECT organizationname, customergroupid FROM customersv3"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_an_update_the_copy_undid_is_brought_back(customer: Pair) -> None:
    assert mended(customer, image("Old"), image("New", "20")) == 1
    assert in_erp(customer) == ("New", "20")
    assert customer.accounts()["USMF", "C1"][:2] == ("New", "20")
    assert mended(customer, image("Old"), image("New", "20")) == 0


def test_the_last_of_several_updates_is_brought_back(customer: Pair) -> None:
    assert mended(customer, image("Old"), image("Mid"), image("New", "20")) == 1
    assert in_erp(customer) == ("New", "20")


def test_a_younger_row_decides_the_columns_that_were_set_back(customer: Pair) -> None:
    customer.erp.execute("UPDATE customersv3 SET organizationname = 'Newest'")
    assert mended(customer, image("Old"), image("New", "20")) == 1
    assert in_erp(customer) == ("Newest", "10")
    assert customer.accounts()["USMF", "C1"][:2] == ("New", "10")


def test_a_record_someone_changed_since_stays(customer: Pair) -> None:
    customer.erp.execute(
        "UPDATE customersv3 SET organizationname = 'Newest', customergroupid = '20'"
    )
    assert mended(customer, image("Old"), image("New", "20")) == 0
    assert in_erp(customer) == ("Newest", "20")
