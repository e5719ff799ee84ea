"""Rows that change while they are copied end right; a paused map queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.jobs.pair import Pair
from tests.waiting import wait_until

CUSTOMERS = """
INSERT INTO customers (dataareaid, account, name)
SELECT 'usmf', 'C' || n, 'Name ' || n FROM generate_series(1, 300) n
"""

ACCOUNTS = """
INSERT INTO accounts (company, accountnumber, name, customertype, hold)
SELECT id, account, name, 3, 0 FROM companies, (VALUES
    ('C1', 'Name 1'), ('C2', 'Name 2'), ('C3', 'Old name'),
    ('X1', 'Only here'), ('X2', 'Only here'), ('X3', 'Only here')) AS a(account, name)
WHERE code = 'USMF'
"""


def names(pair: Pair) -> dict[str, str]:
    """Names by account, equal on both sides."""
    pair.quiet()
    pair.equal()
    erp = dict(
        pair.erp.execute(
            "SELECT account, name FROM customers WHERE kind = 'Organization'"
        ).fetchall()
    )
    crm = dict(pair.crm.execute("SELECT accountnumber, name FROM accounts").fetchall())
    assert erp == crm
    return erp


def test_rows_changed_on_both_sides_while_they_are_copied_end_right(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    pair.erp.execute(CUSTOMERS)
    pair.crm.execute(ACCOUNTS)
    name = f"customers {pair.name}"
    release = pair.block("accounts", "NEW.accountnumber = 'C150'")
    pair.run(name, wait=False)
    pair.wait_blocked()
    # The ERP's rows were read, and none of them can be seen in the CRM yet.
    assert pair.states()[name][0] == "initializing"
    pair.erp.execute(
        "UPDATE customers SET name = 'Changed in ERP' WHERE account IN"
        " ('C10', 'C150', 'C299')"
    )
    pair.erp.execute("UPDATE customers SET memo = 'first' WHERE account = 'C11'")
    pair.erp.execute("UPDATE customers SET memo = 'second' WHERE account = 'C11'")
    pair.erp.execute("DELETE FROM customers WHERE account IN ('C20', 'C280')")
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES"
        " ('usmf', 'C20', 'Made anew'), ('usmf', 'N1', 'New in ERP')"
    )
    pair.crm.execute(
        "UPDATE accounts SET name = 'Changed in CRM' WHERE accountnumber IN"
        " ('C1', 'X1')"
    )
    pair.crm.execute("DELETE FROM accounts WHERE accountnumber IN ('C2', 'X2')")
    pair.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, 'N2', 'New in CRM', 3, 0 FROM companies WHERE code = 'USMF'"
    )
    release()
    pair.wait_for("running", name)
    found = names(pair)
    assert len(found) == 300 - 1 - 1 + 1 + 2 + 1  # C280, C2; N1; X1, X3; N2
    expected = {
        **dict.fromkeys(("C10", "C150", "C299"), "Changed in ERP"),
        **dict.fromkeys(("C1", "X1"), "Changed in CRM"),
        "C3": "Name 3",
        "C20": "Made anew",
        "N1": "New in ERP",
        "N2": "New in CRM",
        "X3": "Only here",
        "C200": "Name 200",
    }
    assert {account: found[account] for account in expected} == expected
    assert (
        pair.value(
            "SELECT description FROM accounts WHERE accountnumber = 'C11'", side="crm"
        )
        == "second"
    )
    assert not pair.errors()


def test_a_row_the_copy_overwrites_right_after_its_change_ends_equal(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    pair.erp.execute(CUSTOMERS)
    pair.crm.execute(ACCOUNTS)
    name = f"customers {pair.name}"
    pair.portal.must("run", name, "--skip-initial-sync")
    pair.portal.must("stop", name)
    with pair.crm.transaction():
        # The copy comes this far with the ERP's old rows in hand.
        pair.crm.execute("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
        pair.run(name, wait=False)
        wait_until(lambda: waits_for_accounts(pair), 60, pair.seen)
        pair.crm.execute(
            "UPDATE accounts SET name = 'Changed in CRM' WHERE accountnumber = 'C1'"
        )
        pair.crm.execute("DELETE FROM accounts WHERE accountnumber = 'C2'")
    pair.wait_for("running", name)
    found = names(pair)
    assert found["C1"] == "Changed in CRM"
    assert "C2" not in found
    assert len(found) == 300 - 1 + 3


def waits_for_accounts(pair: Pair) -> Any:
    return pair.admin.execute(
        "SELECT 1 FROM pg_stat_activity WHERE usename = %s"
        " AND wait_event_type = 'Lock' AND wait_event = 'relation'",
        [pair.role],
    ).fetchone()


def test_a_paused_map_queues_while_others_go_on_and_then_catches_up(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'G1', 'One')")
    pair.erp.execute(CUSTOMERS)
    pair.run()
    groups, customers = pair.maps
    pair.portal.must("pause", customers)
    assert pair.states()[customers][0] == "paused"

    pair.erp.execute("UPDATE customers SET name = 'While paused' WHERE account < 'C2'")
    pair.erp.execute("UPDATE customers SET memo = 'not mine' WHERE account = 'C5'")
    pair.erp.execute("DELETE FROM customers WHERE account = 'C30'")
    pair.crm.execute("UPDATE accounts SET name = 'CRM' WHERE accountnumber = 'C31'")
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'G2', 'Two')")
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) VALUES"
        " ('usmf', 'N1', 'New', 'G2')"
    )
    pair.wait_value(
        "SELECT description FROM crmgroups WHERE groupid = 'G2'", "Two", side="crm"
    )
    wanted = len(
        pair.erp.execute("SELECT FROM customers WHERE name = 'While paused'").fetchall()
    )
    wait_until(lambda: queued(pair)[customers] == wanted + 4, 60, pair.seen)
    assert queued(pair)[groups] == 0
    assert pair.compare(customers)["different"] == wanted + 2

    pair.portal.must("resume", customers)
    pair.wait_for("running", customers)
    pair.quiet()
    pair.equal()
    assert queued(pair)[customers] == 0
    assert not pair.errors()
    pair.erp.execute("UPDATE customers SET name = 'Live again' WHERE account = 'C1'")
    pair.wait_value(
        "SELECT name FROM accounts WHERE accountnumber = 'C1'", "Live again", side="crm"
    )


def queued(pair: Pair) -> dict[str, int]:
    """Queued changes by map, as `dw status` shows them."""
    return {entry["name"]: entry["queued"] for entry in pair.status()["maps"]}
