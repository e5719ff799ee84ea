"""A record that cannot be carried over says why, delays nobody, and can be retried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.jobs.pair import Pair
from tests.waiting import wait_until

TROUBLE = """
INSERT INTO customers (dataareaid, account, name, hold) VALUES
    ('usmf', 'VALUE', 'Good name', 'Never');
INSERT INTO customers (dataareaid, account, name, groupid) VALUES
    ('usmf', 'LOOKUP', 'Good name', 'LOST');
INSERT INTO customers (dataareaid, account, name) VALUES
    ('usmf', 'LONG', repeat('x', 41));
INSERT INTO customers (dataareaid, account, name) VALUES
    ('usmf', 'NULL', NULL);
INSERT INTO customers (dataareaid, account, name, groupid) VALUES
    ('usmf', 'GOOD', 'Good name', 'KNOWN'), ('demf', 'GUT', 'Guter Name', NULL);
"""

EXPECTED = {
    "VALUE": ("value_not_in_map", "hold", "Never"),
    "LOOKUP": ("lookup_not_found", "crmgroup.groupid", "LOST"),
    "LONG": ("value_too_long", "name", "40"),
    "NULL": ("required_value_missing", "name", "name"),
}

MENDED = {
    "VALUE": "UPDATE customers SET hold = 'All' WHERE account = 'VALUE'",
    "LONG": "UPDATE customers SET name = 'Short' WHERE account = 'LONG'",
    "NULL": "UPDATE customers SET name = 'Named' WHERE account = 'NULL'",
}


def prepared(make_pair: Callable[..., Pair]) -> tuple[Pair, str]:
    """A pair whose ERP takes names that the CRM refuses, and its map of customers.
    Groups are not synchronized: LOST is missing in the CRM until somebody adds it."""
    pair = make_pair()
    pair.erp.execute("ALTER TABLE customers ALTER name DROP NOT NULL")
    pair.erp.execute(
        "INSERT INTO groups VALUES ('usmf', 'LOST', ''), ('usmf', 'KNOWN', '')"
    )
    add_group(pair, "KNOWN")
    return pair, f"customers {pair.name}"


def add_group(pair: Pair, group: str) -> None:
    pair.crm.execute(
        "INSERT INTO crmgroups (company, groupid)"
        " SELECT id, %s FROM companies WHERE code = 'USMF'",
        [group],
    )


def check_errors(pair: Pair, phase: str) -> None:
    """Exactly the expected errors, each clear."""
    errors = {error["key"][-1]: error for error in pair.errors()}
    assert set(errors) == set(EXPECTED), pair.seen()
    for account, (code, column, word) in EXPECTED.items():
        error = errors[account]
        said = str(error)
        assert error["code"] == code, said
        assert error["column"] == column, said
        assert word in error["message"], said
        # What may pass by itself is retried by itself; that changes no phase.
        assert error["phase"] == phase
        assert error["direction"] == "finops_to_dataverse", said
        assert error["key"][0].lower() == "usmf", said
        assert error["state"] == "open", said
        assert error["message"][0].isupper(), said
        assert error["message"].endswith("."), said
    payloads = pair.portal.rows(
        "SELECT source_row->>'account', mapped_row FROM errors_syncerror"
        " WHERE id = ANY(%s)",
        [error["id"] for error in errors.values()],
    )
    assert {account for account, _ in payloads} == set(EXPECTED)


def accounts(pair: Pair) -> dict[str, tuple[Any, ...]]:
    rows = pair.crm.execute(
        "SELECT accountnumber, name, hold, groupid FROM accounts a"
        " LEFT JOIN crmgroups g ON g.id = a.crmgroup"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def mend_and_retry(pair: Pair, name: str) -> None:
    """Mend every cause where it lies, retry, and see the errors go."""
    add_group(pair, "LOST")
    for statement in MENDED.values():
        pair.erp.execute(statement)  # type: ignore[call-overload]
    pair.portal.must("retry", "--map", name)
    wait_until(lambda: not pair.errors(), 60, pair.seen)
    pair.equal(name)
    assert accounts(pair) == {
        "VALUE": ("Good name", 2, None),
        "LOOKUP": ("Good name", 0, "LOST"),
        "LONG": ("Short", 0, None),
        "NULL": ("Named", 0, None),
        "GOOD": ("Good name", 0, "KNOWN"),
        "GUT": ("Guter Name", 0, None),
    }


def test_records_refused_during_live_sync_are_told_apart_and_mended(
    make_pair: Callable[..., Pair],
) -> None:
    pair, name = prepared(make_pair)
    pair.run(name)
    # One transaction each: otherwise the good ones would wait with the refused ones.
    for statement in TROUBLE.strip().split(";\n"):
        pair.erp.execute(statement)  # type: ignore[call-overload]
    wait_until(
        lambda: len(pair.errors()) == 4 and len(accounts(pair)) == 2, 60, pair.seen
    )
    check_errors(pair, "live")
    assert accounts(pair)["GOOD"] == ("Good name", 0, "KNOWN")
    pair.erp.execute("UPDATE customers SET memo = 'later' WHERE account = 'GOOD'")
    pair.wait_value(
        "SELECT description FROM accounts WHERE accountnumber = 'GOOD'",
        "later",
        side="crm",
    )
    assert pair.states()[name][0] == "running"
    mend_and_retry(pair, name)


def test_records_refused_during_the_copy_are_told_apart_and_mended(
    make_pair: Callable[..., Pair],
) -> None:
    pair, name = prepared(make_pair)
    pair.erp.execute(TROUBLE)
    ran = pair.portal.dw("run", name, "--master", "finops", "--wait", "--json")
    assert ran.code == 1, ran
    document = ran.json
    (entry,) = document["maps"]
    assert entry["state"] == "running"
    assert entry["run"]["state"] == "completed"
    assert {k: entry["run"][k] for k in ("exported", "inserted", "failed")} == {
        "exported": 6 + 2,  # and the two that arrived, on the way back
        "inserted": 2,
        "failed": 4,
    }
    assert "4 of 8 records failed" in ran.err
    check_errors(pair, "initial")
    mend_and_retry(pair, name)


def test_a_later_change_or_a_retry_by_id_closes_an_error(
    make_pair: Callable[..., Pair],
) -> None:
    pair, name = prepared(make_pair)
    pair.portal.must("run", name, "--skip-initial-sync")
    pair.erp.execute(
        "ALTER TABLE customers ADD CONSTRAINT no_ten CHECK (name <> 'Ten')"
    )
    pair.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, 'NINE', 'Nine', 3, 9 FROM companies WHERE code = 'DEMF'"
    )
    pair.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, 'TEN', 'Ten', 3, 0 FROM companies WHERE code = 'DEMF'"
    )
    wait_until(lambda: len(pair.errors()) == 2, 60, pair.seen)
    nine, ten = sorted(pair.errors(), key=lambda error: str(error["key"]))
    assert {nine["direction"], ten["direction"]} == {"dataverse_to_finops"}
    assert (nine["code"], nine["column"]) == ("value_not_in_map", "hold")
    assert "9" in nine["message"]
    assert ten["code"] == "check_violated"
    assert "no_ten" in ten["message"]

    pair.crm.execute("UPDATE accounts SET hold = 1 WHERE accountnumber = 'NINE'")
    wait_until(lambda: len(pair.errors()) == 1, 60, pair.seen)
    pair.portal.must("retry", str(ten["id"]))
    wait_until(lambda: pair.errors()[0]["count"] > 1, 60, pair.seen)
    pair.erp.execute("ALTER TABLE customers DROP CONSTRAINT no_ten")
    pair.portal.must("retry", str(ten["id"]))
    wait_until(lambda: not pair.errors(), 60, pair.seen)
    states = pair.portal.rows(
        "SELECT state FROM errors_syncerror WHERE id IN (%s, %s) ORDER BY key_text",
        nine["id"],
        ten["id"],
    )
    assert states == [("superseded",), ("resolved",)]
    pair.equal(name)
    unknown = pair.portal.ask("retry", str(ten["id"]), "--json")
    assert unknown.code == 1
    assert "no open error" in unknown.err
