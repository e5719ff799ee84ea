"""What streams tell of what they carried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.live import history
from syncengine.mapping.model import Direction
from syncengine.ports import CarriedChange
from tests.engine.link import CUSTOMERS, Link


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


def keep(link: Link, *maps: int) -> None:
    """Keep the history of these maps."""
    with link.state.lock:
        for key, leg in link.state.legs.items():
            link.state.legs[key] = replace(leg, history=key[0] in maps)
        link.state.revision += 1


def told(link: Link) -> list[CarriedChange]:
    return [one for each in link.state.carried for one in each.describe()]


def test_what_was_written_is_told_with_keys_version_and_both_values(link: Link) -> None:
    number = next(
        key[0]
        for key, leg in link.state.legs.items()
        if leg.table_map.name == CUSTOMERS.name
    )
    keep(link, number)
    link.start()
    link.erp.execute("INSERT INTO groups VALUES ('usmf', '10', 'Ten')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid, hold)"
        " VALUES ('usmf', 'C1', 'One', '10', 'No')"
    )
    link.equal()
    link.crm.execute("UPDATE accounts SET hold = 2 WHERE accountnumber = 'C1'")
    link.equal()
    link.erp.execute("DELETE FROM customers WHERE account = 'C1'")
    link.equal()
    added, changed, deleted = told(link)
    # Groups are carried as well, but their history is not kept.
    assert {one.map_id for one in (added, changed, deleted)} == {number}
    assert (added.kind, added.direction) == ("inserted", Direction.FINOPS_TO_DATAVERSE)
    assert (added.source_key[-1], added.target_key[-1]) == ("C1", "C1")
    assert added.company
    assert added.before == {}
    assert added.after["name"] == "One"
    assert added.version == f"{CUSTOMERS.publisher} {CUSTOMERS.version}".strip()
    assert added.transaction_id
    assert added.position < deleted.position
    assert (changed.kind, changed.direction) == (
        "updated",
        Direction.DATAVERSE_TO_FINOPS,
    )
    assert changed.before == {"hold": "No"}
    assert list(changed.after) == ["hold"]
    assert (deleted.kind, deleted.after) == ("deleted", {})
    assert all(one.phase == "live" for one in (added, changed, deleted))


def test_nothing_is_told_of_maps_without_history(link: Link) -> None:
    keep(link)
    link.start()
    link.erp.execute("INSERT INTO groups VALUES ('usmf', '10', 'Ten')")
    link.equal()
    assert link.state.carried == []


def test_several_changes_that_came_to_one_write_are_told_as_one(link: Link) -> None:
    keep(link, *{key[0] for key in link.state.legs})
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, hold)"
        " VALUES ('usmf', 'C1', 'One', 'No')"
    )
    link.equal()
    link.state.carried.clear()
    with link.erp.transaction():
        for name in ("Two", "Three"):
            link.erp.execute("UPDATE customers SET name = %s", [name])
    link.equal()
    (one,) = told(link)
    assert (one.changes, one.before, one.after) == (
        2,
        {"name": "One"},
        {"name": "Three"},
    )


def test_a_huge_commit_is_counted_whole_and_kept_in_part(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    keep(link, *{key[0] for key in link.state.legs})
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, hold)"
        " SELECT 'usmf', 'C' || n, 'One', 'No' FROM generate_series(1, 10) n"
    )
    link.equal()
    (one,) = link.state.carried
    assert sum(one.counts().values()) == 10
    assert len(list(one.describe())) == 3
