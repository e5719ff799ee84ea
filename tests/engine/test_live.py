"""Live sync between two real databases, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import ColumnMapType
from syncengine.ports import LegMode
from tests.engine.link import CRM, CUSTOMERS, ERP, GROUPS, Link
from tests.waiting import wait_until


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


def add_groups(link: Link) -> None:
    link.erp.execute(
        "INSERT INTO groups VALUES ('usmf', '10', 'Ten'), ('demf', '10', 'Zehn')"
    )


def test_inserts_updates_and_deletes_travel_both_ways(link: Link) -> None:
    link.start()
    add_groups(link)
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid, hold, credit) "
        "SELECT 'usmf', 'C' || n, 'Name ' || n, '10', 'Invoice', n * 1.5 "
        "FROM generate_series(1, 50) n"
    )
    link.equal()
    assert len(link.accounts()) == 50
    link.crm.execute(
        "UPDATE accounts SET description = 'from CRM', hold = 2 "
        "WHERE accountnumber < 'C2'"
    )
    link.erp.execute("UPDATE customers SET credit = 7 WHERE account LIKE 'C3%'")
    link.equal()
    link.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold) "
        "SELECT id, 'X1', 'Neu', 3, 0 FROM companies WHERE code = 'DEMF'"
    )
    link.erp.execute("DELETE FROM customers WHERE account = 'C7'")
    link.crm.execute("DELETE FROM accounts WHERE accountnumber = 'C8'")
    link.equal()
    assert "demf/X1" in link.customers()
    assert "usmf/C7" not in link.accounts()
    assert "usmf/C8" not in link.customers()
    assert not link.state.errors


def test_a_record_changed_and_deleted_in_one_batch_is_gone(link: Link) -> None:
    """The last of its images is not what the target holds."""
    link.start()
    link.erp.execute(
        "INSERT INTO groups VALUES ('usmf', '10', 'Ten'), ('usmf', '20', 'Twenty')"
    )
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid, hold)"
        " VALUES ('usmf', 'C1', 'One', '10', 'No')"
    )
    link.equal()
    link.stop()
    link.erp.execute("UPDATE customers SET groupid = '20' WHERE account = 'C1'")
    link.erp.execute("DELETE FROM customers WHERE account = 'C1'")
    link.start()
    wait_until(lambda: not link.accounts(), 15, "it is gone")
    link.equal()
    assert not link.customers()
    assert not link.state.conflicts


def test_a_change_is_written_once_and_does_not_echo(link: Link) -> None:
    link.crm.execute(
        "CREATE TABLE log (n int); CREATE FUNCTION note() RETURNS trigger AS "
        "'BEGIN INSERT INTO log VALUES (1); RETURN NEW; END' LANGUAGE plpgsql; "
        "CREATE TRIGGER note AFTER INSERT OR UPDATE ON accounts FOR EACH ROW "
        "EXECUTE FUNCTION note()"
    )
    link.erp.execute(
        "CREATE TABLE log (n int); CREATE FUNCTION note() RETURNS trigger AS "
        "'BEGIN INSERT INTO log VALUES (1); RETURN NEW; END' LANGUAGE plpgsql; "
        "CREATE TRIGGER note AFTER INSERT OR UPDATE ON customers FOR EACH ROW "
        "EXECUTE FUNCTION note()"
    )
    link.start()
    add_groups(link)
    for number in range(20):
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) "
            "VALUES ('usmf', %s, 'A')",
            [f"E{number}"],
        )
        link.erp.execute("UPDATE customers SET internal_note = 'not mapped'")
    link.equal()
    link.crm.execute("UPDATE accounts SET owner = 'not mapped'")
    link.crm.execute("UPDATE accounts SET name = 'B' WHERE accountnumber = 'E3'")
    link.equal()
    erp = link.erp.execute("SELECT count(*) FROM log").fetchone()
    crm = link.crm.execute("SELECT count(*) FROM log").fetchone()
    assert erp is not None
    assert crm is not None
    # 20 inserts by us + 20 updates of owner + 1 update by the test
    assert crm[0] == 20 + 20 + 1
    # inserts and unmapped updates of the test (1+2+..+20), and one write by us
    assert erp[0] == 20 + 210 + 1


def test_filters_and_companies_hold_in_both_directions(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, kind) VALUES "
        "('usmf', 'P1', 'Person', 'Person'), ('usmf', 'O1', 'Org', 'Organization'), "
        "('zzzz', 'O2', 'Elsewhere', 'Organization')"
    )
    link.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold) "
        "SELECT id, 'X' || code, 'x', 3, 0 FROM companies"
    )
    link.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold) "
        "SELECT id, 'PROSPECT', 'x', 1, 0 FROM companies WHERE code = 'USMF'"
    )
    wait_until(lambda: "usmf/O1" in link.accounts())
    wait_until(lambda: "demf/XDEMF" in link.customers())
    link.erp.execute("UPDATE customers SET kind = 'Organization' WHERE account = 'P1'")
    wait_until(lambda: "usmf/P1" in link.accounts())
    accounts = link.erp.execute("SELECT account FROM customers").fetchall()
    assert {row[0] for row in accounts} == {"P1", "O1", "O2", "XUSMF", "XDEMF"}
    assert not [key for key in link.accounts() if "O2" in key]


def test_one_refused_record_delays_nobody_and_retry_reads_the_present_row(
    link: Link,
) -> None:
    link.start()
    add_groups(link)
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, hold) VALUES "
        "('usmf', 'BAD', 'Bad', 'Unknown')"
    )
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES "
        "('usmf', 'LONG', repeat('x', 50))"
    )
    for number in range(30):
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, groupid) "
            "VALUES ('usmf', %s, 'A', '10')",
            [f"G{number}"],
        )
    wait_until(lambda: len(link.accounts()) == 30)
    wait_until(lambda: len(link.state.errors) == 2)
    errors = {e.failure.key[-1]: e.failure for e in link.state.errors.values()}
    assert errors["BAD"].code == "value_not_in_map"
    assert errors["BAD"].column == "hold"
    assert "Unknown" in errors["BAD"].message
    made = errors["BAD"].mapped_row
    assert (made["accountnumber"], made["name"]) == ("BAD", "Bad")
    assert "hold" not in made
    assert errors["LONG"].code == "value_too_long"
    assert errors["LONG"].column == "name"
    link.state.retry_all()
    wait_until(lambda: all(e.count == 2 for e in link.state.errors.values()))
    link.erp.execute("ALTER TABLE customers DISABLE TRIGGER USER")
    link.erp.execute("UPDATE customers SET hold = 'All' WHERE account = 'BAD'")
    wait_until(lambda: "usmf/BAD" in link.accounts())
    wait_until(lambda: len(link.state.errors) == 1)
    link.crm.execute("ALTER TABLE accounts ALTER name TYPE varchar(60)")
    link.state.retry_all()
    link.state.set_mode(2, LegMode.LIVE)


def test_a_target_that_refuses_one_row_parks_its_transaction_only(link: Link) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
    link.start()
    link.erp.execute(
        "BEGIN; INSERT INTO customers (dataareaid, account, name, credit) VALUES "
        "('usmf', 'T1', 'a', 1), ('usmf', 'T2', 'b', 5000), ('usmf', 'T3', 'c', 3);"
        "COMMIT"
    )
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, credit) "
        "SELECT 'usmf', 'N' || n, 'n', 1 FROM generate_series(1, 100) n"
    )
    wait_until(lambda: len(link.accounts()) == 100)
    wait_until(lambda: len(link.state.errors) == 3)
    codes = {e.failure.key[-1]: e.failure.code for e in link.state.errors.values()}
    assert codes == {
        "T1": "transaction_held",
        "T2": "check_violated",
        "T3": "transaction_held",
    }
    link.crm.execute("ALTER TABLE accounts DROP CONSTRAINT accounts_credit_check")
    link.state.retry_all()
    link.equal()
    wait_until(lambda: not link.state.errors)


def test_a_missing_lookup_is_an_error_and_never_a_null(link: Link) -> None:
    link.start()
    link.set_mode(1, LegMode.OFF)
    add_groups(link)
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "VALUES ('usmf', 'L1', 'a', '10')"
    )
    wait_until(lambda: link.state.errors)
    failure = next(iter(link.state.errors.values())).failure
    assert failure.code == "lookup_not_found"
    assert failure.column == "crmgroup.groupid"
    assert not link.accounts()
    link.crm.execute(
        "INSERT INTO crmgroups (company, groupid) "
        "SELECT id, '10' FROM companies WHERE code = 'USMF'"
    )
    link.state.retry_all()
    link.equal()
    wait_until(lambda: not link.state.errors)


def test_parent_and_child_of_one_transaction_arrive_in_order(link: Link) -> None:
    link.start()
    link.erp.execute(
        "BEGIN; INSERT INTO groups VALUES ('usmf', '99', 'new'); "
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "VALUES ('usmf', 'K1', 'a', '99'); COMMIT"
    )
    link.equal()
    assert link.accounts()["usmf/K1"][1] == "99"
    link.erp.execute(
        "BEGIN; DELETE FROM customers WHERE account = 'K1'; "
        "DELETE FROM groups WHERE groupid = '99'; COMMIT"
    )
    wait_until(
        lambda: link.crm.execute("SELECT count(*) FROM crmgroups").fetchone() == (0,)
    )
    assert not link.state.errors


def test_a_paused_map_queues_while_others_go_on_and_is_equal_after_resume(
    link: Link,
) -> None:
    link.start()
    add_groups(link)
    link.set_mode(2, LegMode.QUEUE)
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "SELECT 'usmf', 'Q' || n, 'n', '10' FROM generate_series(1, 20) n"
    )
    for value in ("a", "b", "c"):
        link.erp.execute("UPDATE customers SET memo = %s", [value])
    link.erp.execute("DELETE FROM customers WHERE account = 'Q5'")
    link.erp.execute("UPDATE groups SET description = 'changed'")
    wait_until(
        lambda: (
            link.crm.execute(
                "SELECT count(*) FROM crmgroups WHERE description = 'changed'"
            ).fetchone()
            == (2,)
        )
    )
    wait_until(lambda: sum(len(q) for q in link.state.queue.values()) == 20 * 4 + 1)
    assert not link.accounts()
    link.set_mode(2, LegMode.DRAIN)
    link.equal()
    wait_until(
        lambda: all(leg.mode is LegMode.LIVE for leg in link.state.legs.values())
    )
    link.erp.execute("UPDATE customers SET memo = 'after'")
    link.equal()
    assert not link.state.errors
    assert not link.state.conflicts


def test_edits_of_different_columns_of_one_record_are_both_kept(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, memo) "
        "VALUES ('usmf', 'W1', 'a', 'm')"
    )
    link.equal()
    link.set_mode(2, LegMode.QUEUE)
    link.erp.execute("UPDATE customers SET credit = 42")
    link.crm.execute("UPDATE accounts SET description = 'crm text'")
    wait_until(lambda: sum(len(q) for q in link.state.queue.values()) == 2)
    link.set_mode(2, LegMode.DRAIN)
    link.equal()
    assert link.accounts()["usmf/W1"][3:] == (42, "crm text")
    assert not link.state.conflicts


@pytest.mark.parametrize(
    "policy", ["last_writer_wins", "finops_wins", "dataverse_wins"]
)
def test_a_conflict_on_one_column_ends_equal_under_every_policy(
    make_database: Callable[..., str], policy: str
) -> None:
    from dataclasses import replace

    from syncengine.mapping.model import ConflictPolicy
    from tests.engine.link import CUSTOMERS, GROUPS

    link = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(GROUPS, replace(CUSTOMERS, conflict=ConflictPolicy(policy))),
    )
    try:
        link.start()
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) "
            "SELECT 'usmf', 'H' || n, 'a' FROM generate_series(1, 5) n"
        )
        link.equal()
        link.set_mode(2, LegMode.QUEUE)
        link.erp.execute("UPDATE customers SET memo = 'erp', credit = 1")
        link.crm.execute("UPDATE accounts SET description = 'crm', hold = 2")
        link.erp.execute("DELETE FROM customers WHERE account = 'H5'")
        wait_until(lambda: sum(len(q) for q in link.state.queue.values()) == 11)
        link.set_mode(2, LegMode.DRAIN)
        link.equal()
        expected = {"last_writer_wins": "crm", "finops_wins": "erp"}.get(policy, "crm")
        assert link.accounts()["usmf/H1"][2:] == (2, 1, expected)
        assert link.state.conflicts
        if policy == "finops_wins":
            assert "usmf/H5" not in link.accounts()
        else:
            assert "usmf/H5" in link.customers()
    finally:
        link.close()


def test_a_table_dropped_under_a_running_map_is_waited_for(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'D1', 'a')"
    )
    link.equal()
    link.crm.execute("ALTER TABLE accounts RENAME TO accounts_away")
    wait_until(lambda: link.state.broken)
    assert "accounts" in link.state.broken[0]
    link.erp.execute("UPDATE customers SET memo = 'meanwhile'")
    link.erp.execute("INSERT INTO groups VALUES ('usmf', '77', 'goes on')")
    wait_until(
        lambda: link.crm.execute("SELECT count(*) FROM crmgroups").fetchone() == (1,)
    )
    link.crm.execute("ALTER TABLE accounts_away RENAME TO accounts")
    link.equal()
    link.crm.execute("UPDATE accounts SET credit = 5")
    link.equal()


def test_a_table_made_anew_is_captured_again(link: Link) -> None:
    link.start()
    link.erp.execute("DROP TABLE customers")
    wait_until(lambda: link.state.broken)
    link.erp.execute(
        "CREATE TABLE customers (dataareaid varchar(4) NOT NULL, account varchar(20) "
        "NOT NULL, name varchar(60) NOT NULL, kind text NOT NULL DEFAULT "
        "'Organization', groupid varchar(10), hold text NOT NULL DEFAULT 'No', "
        "credit numeric(14,2), memo text, PRIMARY KEY (dataareaid, account))"
    )
    wait_until(lambda: "capture.repaired" in [kind for kind, _ in link.state.events])
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'A1', 'a')"
    )
    link.equal()


def test_a_generated_column_travels_and_its_change_alone_is_carried_over(
    make_database: Callable[..., str],
) -> None:
    erp = ERP.replace(
        "memo text, internal_note text",
        "internal_note text, "
        "memo text GENERATED ALWAYS AS ('<' || internal_note || '>') STORED",
    )
    one_way = replace(
        CUSTOMERS,
        columns=tuple(
            replace(column, type=ColumnMapType.TO_DATAVERSE)
            if column.finops == "memo"
            else column
            for column in CUSTOMERS.columns
        ),
        finops_filter='(kind == "Organization") && (memo != "<hidden>")',
    )
    link = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(GROUPS, one_way),
        tables=(erp, CRM),
    )
    try:
        link.start()
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, internal_note) VALUES "
            "('usmf', 'A', 'Name', 'one'), ('usmf', 'B', 'Name', 'hidden')"
        )
        link.erp.execute("UPDATE customers SET internal_note = 'two'")
        link.equal()
        assert {row[-1] for row in link.accounts().values()} == {"<two>"}
        link.crm.execute("UPDATE accounts SET name = 'From CRM'")
        link.equal()
        link.erp.execute("DELETE FROM customers WHERE account = 'B'")
        link.equal()
        assert not link.state.errors
    finally:
        link.close()
