"""Records that wait for others go on by themselves, at once, when those arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncengine.mapping.model import Direction, OnError
from syncengine.ports import LegMode
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until

TO_DATAVERSE = Direction.FINOPS_TO_DATAVERSE


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


def codes(link: Link) -> dict[str, str]:
    """Code of each open error by the last part of its key."""
    with link.state.lock:
        errors = list(link.state.errors.values())
    return {str(e.failure.key[-1]): e.failure.code for e in errors}


def wait_codes(link: Link, expected: dict[str, str]) -> None:
    wait_until(
        lambda: codes(link) == expected,
        message=lambda: f"{[e.failure for e in link.state.errors.values()][1]}",
    )


def test_a_child_follows_its_parent_when_that_is_mended(link: Link) -> None:
    link.crm.execute("ALTER TABLE crmgroups ADD CHECK (description <> 'bad')")
    link.start()
    link.erp.execute("INSERT INTO groups VALUES ('usmf', 'G', 'bad')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "SELECT 'usmf', 'C' || n, 'a', 'G' FROM generate_series(1, 20) n"
    )
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'N', 'a')"
    )
    children = {f"C{n}": "lookup_not_found" for n in range(1, 21)}
    wait_codes(link, {"G": "check_violated", **children})
    wait_until(lambda: "usmf/N" in link.accounts())
    # The memory journal retries nothing by itself: what follows was woken.
    link.erp.execute("UPDATE groups SET description = 'good' WHERE groupid = 'G'")
    link.equal()
    wait_codes(link, {})
    assert {state for _, state in link.state.closed} == {"superseded", "resolved"}


def test_a_foreign_key_that_leads_nowhere_waits_for_its_record(link: Link) -> None:
    link.erp.execute("ALTER TABLE groups ADD CHECK (description <> 'bad')")
    link.start()
    link.crm.execute(
        "INSERT INTO crmgroups (company, groupid, description) "
        "SELECT id, 'G', 'bad' FROM companies WHERE code = 'USMF'"
    )
    link.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold, "
        "crmgroup) SELECT c.id, 'A', 'a', 3, 0, g.id FROM companies c, crmgroups g "
        "WHERE code = 'USMF'"
    )
    wait_codes(link, {"G": "check_violated", "A": "reference_missing"})
    link.crm.execute("UPDATE crmgroups SET description = 'good'")
    link.equal()
    wait_codes(link, {})


def test_a_delete_follows_when_nothing_refers_to_its_record_any_more(
    link: Link,
) -> None:
    link.start()
    link.erp.execute("INSERT INTO groups VALUES ('usmf', 'G', 'a')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "VALUES ('usmf', 'C1', 'a', 'G'), ('usmf', 'C2', 'a', 'G')"
    )
    link.equal()
    link.set_mode(2, LegMode.QUEUE)
    link.erp.execute("UPDATE customers SET groupid = NULL WHERE account = 'C1'")
    link.erp.execute("DELETE FROM customers WHERE account = 'C2'")
    link.erp.execute("DELETE FROM groups")
    wait_codes(link, {"G": "still_referenced"})
    link.set_mode(2, LegMode.DRAIN)
    wait_codes(link, {})
    link.equal()
    assert link.crm.execute("SELECT count(*) FROM crmgroups").fetchone() == (0,)


def test_a_record_of_another_company_wakes_nobody(link: Link) -> None:
    link.start()
    link.set_mode(1, LegMode.OFF)
    link.erp.execute("INSERT INTO groups VALUES ('usmf', 'G', ''), ('demf', 'G', '')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid) "
        "VALUES ('usmf', 'C', 'a', 'G')"
    )
    wait_codes(link, {"C": "lookup_not_found"})
    link.set_mode(1, LegMode.LIVE)
    link.erp.execute("UPDATE groups SET description = 'x' WHERE dataareaid = 'demf'")
    wait_until(
        lambda: link.crm.execute("SELECT count(*) FROM crmgroups").fetchone() == (1,)
    )
    assert next(iter(link.state.errors.values())).count == 1
    link.erp.execute("UPDATE groups SET description = 'x' WHERE dataareaid = 'usmf'")
    link.equal()
    wait_codes(link, {})


def test_held_records_go_on_when_the_culprit_is_mended(link: Link) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
    link.start()
    link.erp.execute(
        "BEGIN; INSERT INTO customers (dataareaid, account, name, credit) VALUES "
        "('usmf', 'T1', 'a', 1), ('usmf', 'T2', 'b', 5000), ('usmf', 'T3', 'c', 3);"
        "COMMIT"
    )
    held = "transaction_held"
    wait_codes(link, {"T1": held, "T2": "check_violated", "T3": held})
    link.erp.execute("UPDATE customers SET credit = 5 WHERE account = 'T2'")
    link.equal()
    wait_codes(link, {})


def test_on_error_record_holds_back_nothing_else(
    make_database: Callable[..., str],
) -> None:
    maps = (GROUPS, replace(CUSTOMERS, on_error=OnError.RECORD))
    link = Link(make_database(prefix="erp"), make_database(prefix="crm"), maps=maps)
    try:
        link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
        link.start()
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, credit) VALUES "
            "('usmf', 'T1', 'a', 1), ('usmf', 'T2', 'b', 5000), ('usmf', 'T3', 'c', 3)"
        )
        wait_until(lambda: set(link.accounts()) == {"usmf/T1", "usmf/T3"})
        wait_codes(link, {"T2": "check_violated"})
    finally:
        link.close()


def test_a_transaction_over_a_thousand_records_always_isolates_by_record(
    link: Link,
) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, credit) "
        "SELECT 'usmf', 'C' || n, 'a', CASE n WHEN 700 THEN 5000 ELSE 1 END "
        "FROM generate_series(1, 1001) n"
    )
    wait_until(
        lambda: len(link.accounts()) == 1000,
        30,
        lambda: f"{len(link.accounts())} {link.state.reports} {codes(link)}"[:2000],
    )
    wait_codes(link, {"C700": "check_violated"})


def test_a_deleted_record_closes_its_error(link: Link) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, credit) "
        "VALUES ('usmf', 'D', 'a', 5000)"
    )
    wait_codes(link, {"D": "check_violated"})
    link.erp.execute("DELETE FROM customers WHERE account = 'D'")
    wait_codes(link, {})
    assert [state for _, state in link.state.closed] == ["superseded"]
    assert not link.state.conflicts


def test_several_changes_of_a_parked_record_make_no_conflict(link: Link) -> None:
    """They may come in one batch, where the later ones expect the earlier image on
    the target, which never got there."""
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit < 1000)")
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'M', 'one')"
    )
    link.equal()
    link.stop()
    for credit, name in ((5000, "two"), (6000, "three"), (7, "four")):
        link.erp.execute("UPDATE customers SET credit = %s, name = %s", [credit, name])
    link.start(mode=None)
    link.equal()
    wait_codes(link, {})
    assert not link.state.conflicts


def test_a_trigger_of_the_target_refuses_a_record_whatever_code_it_gives(
    link: Link,
) -> None:
    link.crm.execute(
        "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF new.name = 'bad' THEN RAISE 'Not you' USING errcode = '53100'; END IF; "
        "RETURN new; END $$; "
        "CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON accounts "
        "FOR EACH ROW EXECUTE FUNCTION judge()"
    )
    link.start()
    for account, name in (("B", "bad"), ("G", "good")):
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', %s, %s)",
            [account, name],
        )
    wait_until(lambda: "usmf/G" in link.accounts())
    wait_codes(link, {"B": "refused_by_trigger"})


def test_many_records_are_retried_together_past_those_that_stay_bad(
    link: Link,
) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CONSTRAINT low CHECK (credit < 1000)")
    link.start()
    for part in range(3):
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, credit) "
            "SELECT 'usmf', %s || n, 'a', 2000 + n FROM generate_series(1, 400) n",
            [f"P{part}-"],
        )
    wait_until(lambda: len(link.state.errors) == 1200, 30)
    link.crm.execute("ALTER TABLE accounts DROP CONSTRAINT low")
    link.crm.execute("ALTER TABLE accounts ADD CHECK (credit <> 2007)")
    link.state.retry_all()
    wait_until(lambda: len(link.accounts()) == 1197, 30)
    wait_codes(link, {f"P{part}-7": "check_violated" for part in range(3)})


def test_a_queue_is_replayed_past_a_refused_record_whose_changes_stay_in_order(
    link: Link,
) -> None:
    link.crm.execute("ALTER TABLE accounts ADD CONSTRAINT low CHECK (credit < 1000)")
    link.start()
    link.set_mode(2, LegMode.QUEUE)
    change = "UPDATE customers SET credit = %s, memo = %s WHERE account = %s"
    for account in ("BAD", "HEALED", "GOOD"):
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, credit) "
            "VALUES ('usmf', %s, 'a', 1)",
            [account],
        )
    link.erp.execute(change, [5000, "first", "BAD"])
    link.erp.execute(change, [5000, "first", "HEALED"])
    link.erp.execute(change, [6000, "second", "BAD"])
    link.erp.execute(change, [7, "second", "HEALED"])
    link.erp.execute(change, [8, "second", "GOOD"])
    wait_until(lambda: len(link.state.queue[2, TO_DATAVERSE]) == 8)
    link.set_mode(2, LegMode.DRAIN)
    wait_until(lambda: not link.state.queue[2, TO_DATAVERSE])
    wait_codes(link, {"BAD": "check_violated"})
    wait_until(lambda: "usmf/GOOD" in link.accounts())
    (error,) = link.state.errors.values()
    assert (error.failure.phase, error.count) == ("queue", 2)
    assert error.failure.source_row["memo"] == "second"
    found = link.accounts()
    assert found["usmf/HEALED"][4] == found["usmf/GOOD"][4] == "second"
    # What was queued before it failed has arrived; nothing after it overtook it.
    assert found["usmf/BAD"][4] is None
    link.crm.execute("ALTER TABLE accounts DROP CONSTRAINT low")
    link.state.retry_all()
    link.equal()
    wait_codes(link, {})
    assert not link.state.conflicts
