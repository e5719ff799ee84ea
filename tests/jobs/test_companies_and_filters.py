"""Companies that are not linked never leak; filters hold in both directions."""

from __future__ import annotations

from collections.abc import Callable

from tests.jobs.pair import Pair

ERP_ROWS = """
INSERT INTO groups VALUES ('usmf', 'G{n}', ''), ('zzzz', 'Z{n}', '');
INSERT INTO customers (dataareaid, account, name, groupid, kind) VALUES
    ('usmf', 'ORG{n}', 'Linked', 'G{n}', 'Organization'),
    ('demf', 'DORG{n}', 'Linked too', NULL, 'Organization'),
    ('usmf', 'PERSON{n}', 'Filtered out', NULL, 'Person'),
    ('zzzz', 'SECRET{n}', 'Not linked', 'Z{n}', 'Organization')
"""

CRM_ROWS = """
INSERT INTO accounts (company, accountnumber, name, customertype, hold)
    SELECT id, 'CRM-' || code || '{n}', 'Customer', 3, 0 FROM companies;
INSERT INTO accounts (company, accountnumber, name, customertype, hold)
    SELECT id, 'VENDOR-' || code || '{n}', 'Filtered out', 1, 0 FROM companies;
INSERT INTO accounts (company, accountnumber, name, customertype, hold)
    VALUES (NULL, 'NOBODY{n}', 'Of no company', 3, 0);
INSERT INTO crmgroups (company, groupid)
    SELECT id, 'X' || code || '{n}' FROM companies
"""


def check(pair: Pair, numbers: str) -> None:
    """Exactly what belongs there is there, for each round of rows."""
    both = ["ORG", "CRM-USMF"], ["DORG", "CRM-DEMF"]
    erp = {
        (company, f"{account}{n}")
        for n in numbers
        for company, accounts in zip(("usmf", "demf"), both, strict=True)
        for account in accounts
    }
    own = {("usmf", f"PERSON{n}") for n in numbers}
    own |= {("zzzz", f"SECRET{n}") for n in numbers}
    found = pair.erp.execute("SELECT dataareaid, account FROM customers").fetchall()
    assert set(found) == erp | own

    crm = {(company.upper(), account) for company, account in erp}
    for n in numbers:
        crm |= {(code, f"VENDOR-{code}{n}") for code in ("USMF", "DEMF", "XXXX")}
        crm |= {("XXXX", f"CRM-XXXX{n}"), (None, f"NOBODY{n}")}
    rows = pair.crm.execute(
        "SELECT code, accountnumber FROM accounts a LEFT JOIN companies c"
        " ON c.id = a.company"
    ).fetchall()
    assert set(rows) == crm
    groups = pair.crm.execute(
        "SELECT code, groupid FROM crmgroups g JOIN companies c ON c.id = g.company"
    ).fetchall()
    assert {group for _, group in groups} == {
        f"{name}{n}" for n in numbers for name in ("G", "XUSMF", "XDEMF", "XXXXX")
    }
    groups = pair.erp.execute("SELECT dataareaid, groupid FROM groups").fetchall()
    assert set(groups) == {
        (company, f"{name}{n}")
        for n in numbers
        for company, name in (
            *(("usmf", "G"), ("zzzz", "Z"), ("usmf", "XUSMF"), ("demf", "XDEMF")),
        )
    }


def test_companies_and_filters_hold_in_copies_and_in_live_sync(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    for session, rows in ((pair.erp, ERP_ROWS), (pair.crm, CRM_ROWS)):
        session.execute(rows.format(n=1))  # type: ignore[arg-type]
    pair.run()
    pair.quiet()
    pair.equal()
    check(pair, "1")

    pair.count_writes()
    for session, rows in ((pair.erp, ERP_ROWS), (pair.crm, CRM_ROWS)):
        session.execute(rows.format(n=2))  # type: ignore[arg-type]
    pair.quiet()
    pair.equal()
    check(pair, "12")

    # Nobody follows a record out of its company or out of the filter.
    pair.erp.execute("UPDATE customers SET name = 'Hidden' WHERE dataareaid = 'zzzz'")
    pair.erp.execute("UPDATE customers SET name = 'Hidden' WHERE kind = 'Person'")
    pair.crm.execute("UPDATE accounts SET name = 'Hidden' WHERE customertype = 1")
    pair.crm.execute("UPDATE accounts SET name = 'Hidden' WHERE company IS NULL")
    pair.crm.execute("DELETE FROM accounts WHERE accountnumber = 'VENDOR-USMF2'")
    pair.erp.execute("DELETE FROM customers WHERE account IN ('PERSON2', 'SECRET2')")
    pair.quiet()
    assert len(pair.writes("crm")) == 2 + 1  # ORG2, DORG2 and the group G2
    assert len(pair.writes("erp")) == 2 + 2  # CRM-USMF2, CRM-DEMF2 and two groups
    names = pair.crm.execute("SELECT DISTINCT name FROM accounts").fetchall()
    assert {name for (name,) in names} >= {"Linked", "Linked too", "Hidden"}
    assert not pair.erp.execute(
        "SELECT FROM customers WHERE name = 'Hidden' AND kind = 'Organization'"
        " AND dataareaid <> 'zzzz'"
    ).fetchall()
    assert not pair.errors()

    # Entering the filter carries a record over; leaving it leaves the other side.
    pair.erp.execute("UPDATE customers SET kind = 'Organization' WHERE kind = 'Person'")
    pair.crm.execute(
        "UPDATE accounts SET customertype = 3 WHERE accountnumber = 'VENDOR-DEMF2'"
    )
    pair.erp.execute("UPDATE customers SET kind = 'Person' WHERE account = 'ORG2'")
    pair.wait_value(
        "SELECT name FROM accounts WHERE accountnumber = 'PERSON1'",
        "Hidden",
        side="crm",
    )
    pair.wait_value(
        "SELECT name FROM customers WHERE account = 'VENDOR-DEMF2'", "Hidden"
    )
    pair.quiet()
    assert pair.value(
        "SELECT count(*) FROM accounts WHERE accountnumber = 'ORG2'", side="crm"
    )
