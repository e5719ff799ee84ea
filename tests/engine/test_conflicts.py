"""What becomes of conflicts under each policy, and what a person may decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from syncengine.connectors.base import Writer
from syncengine.deciding import ChangedSinceError, Decision, decide
from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import ConflictRecord, LegMode
from tests.engine.convergence import legs_of
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until

KEYS = [f"K{number}" for number in range(4)]


@pytest.fixture
def make_link(make_database: Callable[..., str]) -> Iterator[Callable[[str], Link]]:
    made: list[Link] = []

    def make(policy: str) -> Link:
        link = Link(
            make_database(prefix="erp"),
            make_database(prefix="crm"),
            maps=(GROUPS, replace(CUSTOMERS, conflict=ConflictPolicy(policy))),
        )
        made.append(link)
        link.start()
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, memo) "
            "SELECT 'usmf', 'K' || n, 'a', 'm' FROM generate_series(0, 3) n"
        )
        link.equal()
        return link

    yield make
    for link in made:
        link.close()


def while_apart(link: Link, erp: str = "", crm: str = "") -> None:
    """What users of both sides do while the map is paused; then it goes on."""
    link.set_mode(2, LegMode.QUEUE)
    before = sum(len(queue) for queue in link.state.queue.values())
    changes = 0
    for connection, statements in ((link.erp, erp), (link.crm, crm)):
        for statement in filter(None, statements.split(";")):
            changes += connection.execute(statement).rowcount
    wait_until(
        lambda: sum(len(q) for q in link.state.queue.values()) == before + changes
    )
    link.set_mode(2, LegMode.DRAIN)
    wait_until(
        lambda: all(leg.mode is LegMode.LIVE for leg in link.state.legs.values())
    )


def memo(link: Link, name: str = "K0") -> tuple[Any, Any]:
    key = f"usmf/{name}"
    return link.customers()[key][-1], link.accounts()[key][-1]


def undecided(link: Link) -> list[ConflictRecord]:
    return list(link.state.undecided.values())


def decision_of(link: Link, record: ConflictRecord, side: Side) -> Decision:
    to_dataverse, to_finops = legs_of(link, CUSTOMERS)
    waiting = record.winner == "undecided"
    return Decision(
        map_id=record.map_id,
        legs={Side.DATAVERSE: to_dataverse, Side.FINOPS: to_finops},
        keys={
            Side.FINOPS: record.finops_key,
            Side.DATAVERSE: record.dataverse_key,
        },
        columns={
            Side.FINOPS: record.finops_columns,
            Side.DATAVERSE: record.dataverse_columns,
        },
        logged={
            Side.FINOPS: record.finops_row,
            Side.DATAVERSE: record.dataverse_row,
        },
        in_force=None if waiting else Side(record.winner),
        side=side,
    )


def use(link: Link, decision: Decision) -> None:
    """Decide as the portal does, with writers of one's own."""
    writers: dict[Side, Writer] = {
        Side.FINOPS: link.finops.writer(link.name),
        Side.DATAVERSE: link.dataverse.writer(link.name),
    }
    try:
        decide(decision, writers)
    finally:
        for writer in writers.values():
            writer.close()


def test_an_undecided_column_stays_on_both_sides_and_others_go_on(
    make_link: Callable[[str], Link],
) -> None:
    link = make_link("manual")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp' WHERE account = 'K0'",
        "UPDATE accounts SET description = 'crm', hold = 2 WHERE accountnumber = 'K0'",
    )
    wait_until(lambda: undecided(link))
    (record,) = undecided(link)
    assert (record.finops_columns, record.dataverse_columns) == (
        ("memo",),
        ("description",),
    )
    assert (record.finops_key, record.dataverse_key) == (("usmf", "K0"), ("USMF", "K0"))
    assert (record.base, {record.source_value, record.target_value}) == (
        "m",
        {"erp", "crm"},
    )
    wait_until(lambda: link.customers()["usmf/K0"][2] == 2)
    link.erp.execute("UPDATE customers SET memo = 'erp2', credit = 5")
    wait_until(lambda: link.accounts()["usmf/K0"][3] == 5)
    wait_until(lambda: link.accounts()["usmf/K1"][-1] == "erp2")
    assert memo(link) == ("erp2", "crm")
    wait_until(lambda: (undecided(link)[0].finops_row or {})["memo"] == "erp2")
    link.crm.execute(
        "UPDATE accounts SET description = 'crm2' WHERE accountnumber='K0'"
    )
    wait_until(
        lambda: (undecided(link)[0].dataverse_row or {})["description"] == "crm2"
    )
    assert memo(link) == ("erp2", "crm2")
    assert len(undecided(link)) == 1


def test_an_undecided_conflict_is_over_when_users_make_both_sides_agree(
    make_link: Callable[[str], Link],
) -> None:
    link = make_link("manual")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp' WHERE account = 'K0'",
        "UPDATE accounts SET description = 'crm' WHERE accountnumber = 'K0'",
    )
    wait_until(lambda: undecided(link))
    link.settled()
    link.crm.execute("UPDATE accounts SET description = 'erp' WHERE accountnumber='K0'")
    wait_until(lambda: not undecided(link))
    link.settled()
    link.crm.execute("UPDATE accounts SET description = 'z' WHERE accountnumber = 'K0'")
    wait_until(lambda: memo(link) == ("z", "z"))


def test_a_retry_leaves_an_undecided_column_alone(
    make_link: Callable[[str], Link],
) -> None:
    link = make_link("manual")
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 100)")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp' WHERE account = 'K0'",
        "UPDATE accounts SET description = 'crm' WHERE accountnumber = 'K0'",
    )
    wait_until(lambda: undecided(link))
    link.settled()
    link.erp.execute("UPDATE customers SET credit = 500 WHERE account = 'K0'")
    wait_until(lambda: link.state.errors)
    link.crm.execute("ALTER TABLE accounts DROP CONSTRAINT accounts_credit_check")
    link.state.retry_all()
    wait_until(lambda: link.accounts()["usmf/K0"][3] == 500)
    assert memo(link) == ("erp", "crm")


@pytest.mark.parametrize("side", list(Side))
def test_a_person_decides_for_either_side(
    make_link: Callable[[str], Link], side: Side
) -> None:
    link = make_link("manual")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp', hold = 'All' WHERE account = 'K0';"
        "DELETE FROM customers WHERE account = 'K1'",
        "UPDATE accounts SET description = 'crm', hold = 1 WHERE accountnumber = 'K0';"
        "UPDATE accounts SET credit = 7 WHERE accountnumber = 'K1'",
    )
    wait_until(lambda: len(undecided(link)) == 3)
    for record in undecided(link):
        use(link, decision_of(link, record, side))
    link.equal()
    wanted = ("erp", 2) if side is Side.FINOPS else ("crm", 1)
    row = link.customers()["usmf/K0"]
    assert (row[-1], row[2]) == wanted
    assert ("usmf/K1" in link.customers()) is (side is Side.DATAVERSE)
    assert not link.state.errors


def test_the_other_side_of_a_settled_conflict_can_be_used_later(
    make_link: Callable[[str], Link],
) -> None:
    link = make_link("finops_wins")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp' WHERE account = 'K0';"
        "DELETE FROM customers WHERE account = 'K1'",
        "UPDATE accounts SET description = 'crm' WHERE accountnumber = 'K0';"
        "UPDATE accounts SET credit = 7 WHERE accountnumber = 'K1'",
    )
    wait_until(lambda: len(link.state.conflicts) == 2)
    link.equal()
    assert memo(link) == ("erp", "erp")
    assert "usmf/K1" not in link.accounts()
    for record in link.state.conflicts:
        assert record.reason
        use(link, decision_of(link, record, Side.DATAVERSE))
    link.equal()
    assert memo(link) == ("crm", "crm")
    assert link.customers()["usmf/K1"][3] == 7
    link.erp.execute("UPDATE customers SET memo = 'after' WHERE account = 'K0'")
    link.equal()


def test_a_column_changed_since_is_not_overwritten_unless_seen(
    make_link: Callable[[str], Link],
) -> None:
    link = make_link("finops_wins")
    while_apart(
        link,
        "UPDATE customers SET memo = 'erp' WHERE account = 'K0'",
        "UPDATE accounts SET description = 'crm' WHERE accountnumber = 'K0'",
    )
    wait_until(lambda: link.state.conflicts)
    link.equal()
    link.crm.execute("UPDATE accounts SET description = 'newer', credit = 1")
    link.equal()
    decision = decision_of(link, link.state.conflicts[0], Side.DATAVERSE)
    with pytest.raises(ChangedSinceError) as refused:
        use(link, decision)
    assert refused.value.present == {
        Side.FINOPS: {"memo": "newer"},
        Side.DATAVERSE: {"description": "newer"},
    }
    assert memo(link) == ("newer", "newer")
    use(link, replace(decision, seen=refused.value.present))
    link.equal()
    assert memo(link) == ("crm", "crm")


EXISTENCE = {
    # policy: (deleted in FinOps and changed in Dataverse, the other way round)
    "last_writer_wins": (True, True),
    "finops_wins": (False, True),
    "dataverse_wins": (True, False),
}


@pytest.mark.parametrize("policy", EXISTENCE)
def test_deletes_against_changes_end_as_documented(
    make_link: Callable[[str], Link], policy: str
) -> None:
    link = make_link(policy)
    insert = (
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold) "
        "SELECT id, '{key}', 'crm', 3, 0 FROM companies WHERE code = 'USMF'"
    )
    while_apart(
        link,
        "DELETE FROM customers WHERE account IN ('K0', 'K2');"
        "UPDATE customers SET memo = 'erp' WHERE account IN ('K1', 'K3');"
        "INSERT INTO customers (dataareaid, account, name) "
        "VALUES ('usmf', 'NEW', 'erp')",
        "UPDATE accounts SET description = 'crm' WHERE accountnumber = 'K0';"
        "DELETE FROM accounts WHERE accountnumber IN ('K1', 'K2', 'K3');"
        + insert.format(key="K3")
        + ";"
        + insert.format(key="NEW"),
    )
    link.equal()
    finops_deleted, dataverse_deleted = EXISTENCE[policy]
    there = link.customers()
    assert ("usmf/K0" in there) is finops_deleted
    assert ("usmf/K1" in there) is dataverse_deleted
    # Deleted on both sides; deleted and made anew; made on both sides.
    assert "usmf/K2" not in there
    assert "usmf/K3" in there
    names = {"finops_wins": "erp", "dataverse_wins": "crm", "last_writer_wins": "crm"}
    assert there["usmf/NEW"][0] == names[policy]
    assert not link.state.errors
