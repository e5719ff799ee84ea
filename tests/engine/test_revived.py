"""Deletes that an initial copy has undone hold all the same."""

from __future__ import annotations

import pytest

from syncengine.connectors.base import OperationKind, Transaction
from syncengine.live.legs import LiveLeg
from syncengine.live.revived import Revived
from syncengine.live.routing import Item, Routed
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction
from syncengine.ports import LegConfiguration, LegMode
from tests.engine.pair import CUSTOMERS_MAP, LINK, Pair

FORWARD = Direction.FINOPS_TO_DATAVERSE
NOW: Transaction = None  # type: ignore[assignment]  # not looked at


def image(name: str, limit: str | None = None) -> Row:
    """What the map makes of customer C1."""
    return ("USMF", "C1", name, None, "0", limit, "3")


def removed(pair: Pair, *images: Row, last: OperationKind) -> int:
    """Replay a chain of changes of customer C1 that had these images."""
    forward, backward = pair.legs(CUSTOMERS_MAP)
    configuration = LegConfiguration(1, 1, FORWARD, LegMode.DRAIN, CUSTOMERS_MAP)
    leg = LiveLeg(configuration, forward, ())
    chain = Routed("", NOW)
    for base in images:
        chain.items.append(
            Item(leg, last, ("usmf", "C1"), (), (), ("USMF", "C1"), base=base)
        )
    writer = pair.finops.writer(LINK)
    try:
        with pair.finops.reader() as reader:
            return Revived(reader, writer, lambda map_id: backward).remove(leg, [chain])
    finally:
        writer.close()


@pytest.fixture
def revived(pair: Pair) -> Pair:
    """A customer the copy brought back; its credit limit does not flow back."""
    pair.add_customer("C1", organizationname="New name")
    pair.add_customer("C2")
    return pair


def customers(pair: Pair) -> list[str]:
    rows = pair.erp.execute("SELECT customeraccount FROM customersv3 ORDER BY 1")
    return [row[0] for row in rows.fetchall()]


def test_a_record_the_copy_brought_back_is_removed_again(revived: Pair) -> None:
    images = (image("Old name", "5"), image("New name", "7"))
    assert removed(revived, *images, last=OperationKind.DELETE) == 1
    assert customers(revived) == ["C2"]
    assert removed(revived, *images, last=OperationKind.DELETE) == 0


def test_a_record_someone_made_anew_stays(revived: Pair) -> None:
    assert removed(revived, image("Old name"), last=OperationKind.DELETE) == 0
    assert customers(revived) == ["C1", "C2"]


def test_a_record_whose_last_change_is_no_delete_stays(revived: Pair) -> None:
    assert removed(revived, image("New name"), last=OperationKind.UPSERT) == 0
    assert customers(revived) == ["C1", "C2"]


def test_a_record_that_others_refer_to_stays(revived: Pair) -> None:
    revived.erp.execute(
        "CREATE TABLE orders (dataareaid varchar(4), account varchar(20),"
        " FOREIGN KEY (dataareaid, account) REFERENCES customersv3);"
        "INSERT INTO orders VALUES ('usmf', 'C1')"
    )
    assert removed(revived, image("New name"), last=OperationKind.DELETE) == 0
    assert customers(revived) == ["C1", "C2"]
