"""Companies join and leave a connection set whose maps run; the others never stop."""

from __future__ import annotations

from collections.abc import Callable

from tests.jobs.pair import Pair
from tests.waiting import wait_until

ERP = """
INSERT INTO groups VALUES ('usmf', 'G1', 'One'), ('xxxx', 'G1', 'One'),
    ('xxxx', 'G2', 'Two');
INSERT INTO customers (dataareaid, account, name, groupid)
SELECT company, 'C' || n, 'Name ' || n, 'G1'
FROM unnest(array['usmf', 'xxxx']) company, generate_series(1, 200) n
"""
CRM = """
INSERT INTO accounts (company, accountnumber, name, customertype, hold)
SELECT id, account, name, 3, 0 FROM companies, (VALUES
    ('C1', 'Old name'), ('C2', 'Name 2'), ('N1', 'Only here'), ('N2', 'Only here'))
    AS a(account, name)
WHERE code = 'XXXX'
"""
NAMES = """
SELECT accountnumber, name FROM accounts a JOIN companies c ON c.id = a.company
WHERE code = 'XXXX'
"""


def link(pair: Pair, *codes: str) -> None:
    """Make these the linked companies, by the file."""
    pair.document["connection_sets"][0]["legal_entities"] = [
        {"finops": code, "dataverse": code.upper()} for code in codes
    ]
    pair.apply()


def live(pair: Pair, account: str, memo: str) -> None:
    """A change of a company that has long been linked arrives at once."""
    pair.erp.execute(
        "UPDATE customers SET memo = %s WHERE dataareaid = 'usmf' AND account = %s",
        [memo, account],
    )
    pair.wait_value(
        "SELECT description FROM accounts a JOIN companies c ON c.id = a.company"
        " WHERE code = 'USMF' AND accountnumber = %s",
        memo,
        account,
        side="crm",
    )


def test_a_company_joins_while_the_others_go_on_and_no_change_is_lost(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    pair.erp.execute(ERP)
    pair.crm.execute(CRM)
    pair.run()
    pair.equal()
    before = len(pair.runs())
    release = pair.block("accounts", "NEW.accountnumber = 'C150'")
    link(pair, "usmf", "demf", "xxxx")
    pair.wait_blocked()
    live(pair, "C1", "while xxxx is copied")
    pair.erp.execute(
        "UPDATE customers SET name = 'Changed in ERP' WHERE dataareaid = 'xxxx'"
        " AND account IN ('C10', 'C150');"
        "DELETE FROM customers WHERE dataareaid = 'xxxx' AND account = 'C20';"
        "INSERT INTO customers (dataareaid, account, name, groupid)"
        " VALUES ('xxxx', 'E1', 'New in ERP', 'G2')"
    )
    pair.crm.execute(
        "UPDATE accounts SET name = 'Changed in CRM' WHERE accountnumber = 'N1';"
        "DELETE FROM accounts WHERE accountnumber = 'N2'"
    )
    live(pair, "C2", "still")
    assert {state for state, _ in pair.states().values()} == {"running"}
    release()
    wait_until(
        lambda: all(leg["run"] == "completed" for leg in pair.runs()), 60, pair.seen
    )
    pair.quiet()
    pair.equal()
    found = dict(pair.crm.execute(NAMES).fetchall())
    assert len(found) == 200 - 1 + 1 + 1  # C20; E1; N1
    assert {key: found[key] for key in ("C1", "C10", "C150", "E1", "N1")} == {
        "C1": "Name 1",
        **dict.fromkeys(("C10", "C150"), "Changed in ERP"),
        "E1": "New in ERP",
        "N1": "Changed in CRM",
    }
    legs = pair.runs()[before:]
    assert {leg["entity"] for leg in legs} == {"xxxx"}
    assert all(leg["total"] <= 204 for leg in legs), legs
    assert not pair.errors()
    live(pair, "C3", "afterwards")
    pair.erp.execute(
        "UPDATE customers SET memo = 'live' WHERE dataareaid = 'xxxx'"
        " AND account = 'C3'"
    )
    pair.quiet()
    pair.equal()

    link(pair, "usmf", "demf")
    pair.acknowledged()
    pair.erp.execute(
        "UPDATE customers SET memo = 'left' WHERE dataareaid = 'xxxx'"
        " AND account = 'C3'"
    )
    live(pair, "C4", "goes on")
    pair.quiet()
    assert (
        pair.value(
            "SELECT description FROM accounts a JOIN companies c ON c.id = a.company"
            " WHERE code = 'XXXX' AND accountnumber = 'C3'",
            side="crm",
        )
        == "live"
    )
    assert {state for state, _ in pair.states().values()} == {"running"}
