"""Five thousand customers find their side, their map and their company."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.jobs.pair import Pair

CUSTOMERS_IN_LINKED_COMPANIES = 5000


def test_customers_land_on_the_right_side_of_the_right_map_and_only_once(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair(sample=True)
    of_crm = pair.crm.execute(
        "SELECT accountnumber FROM accounts WHERE customertypecode = 3 UNION ALL "
        "SELECT msdyn_contactpersonid FROM contacts WHERE msdyn_sellable"
    ).fetchall()
    unmapped_before = pair.crm.execute(NOT_CUSTOMERS).fetchall()
    unlinked_before = pair.erp.execute(UNLINKED_CUSTOMERS).fetchall()
    assert len(unmapped_before) > 30
    assert len(unlinked_before) > 20

    pair.run()
    pair.equal()

    customers = pair.erp.execute(
        "SELECT upper(dataareaid), customeraccount, partytype FROM customersv3"
        " WHERE dataareaid <> 'itco'"
    ).fetchall()
    kinds = Counter(kind for _, _, kind in customers)
    assert kinds.total() > CUSTOMERS_IN_LINKED_COMPANIES
    assert min(kinds.values()) > 1000
    accounts = pair.crm.execute(ACCOUNTS).fetchall()
    contacts = pair.crm.execute(CONTACTS).fetchall()
    organizations = [row[:2] for row in customers if row[2] == "Organization"]
    persons = [row[:2] for row in customers if row[2] == "Person"]
    assert sorted(accounts) == sorted(organizations)
    assert sorted(contacts) == sorted(persons)
    known = {account for _, account, _ in customers}
    for (account,) in of_crm:
        is_linked = account in known
        assert is_linked or account > "CRM-00012"
    assert pair.crm.execute(NOT_CUSTOMERS).fetchall() == unmapped_before
    assert pair.erp.execute(UNLINKED_CUSTOMERS).fetchall() == unlinked_before
    assert not pair.errors()
    for leg in pair.runs():
        assert leg["run"] == "completed"
        assert leg["exported"] == leg["total"], leg
        assert leg["failed"] == 0

    pair.count_writes()
    pair.portal.must("stop", *pair.maps)
    first = len(pair.runs())
    pair.run()
    pair.quiet()
    pair.equal()
    again = pair.runs()[first:]
    assert sum(leg["exported"] for leg in again) > CUSTOMERS_IN_LINKED_COMPANIES
    assert all(leg["exported"] == leg["unchanged"] + leg["skipped"] for leg in again), (
        again
    )
    assert pair.writes("erp") == []
    assert pair.writes("crm") == []


ACCOUNTS = """
SELECT c.cdm_companycode, a.accountnumber FROM accounts a
JOIN cdm_companies c ON c.cdm_companyid = a.msdyn_company
WHERE customertypecode = 3 AND c.cdm_companycode <> 'ITCO'
"""
CONTACTS = """
SELECT c.cdm_companycode, p.msdyn_contactpersonid FROM contacts p
JOIN cdm_companies c ON c.cdm_companyid = p.msdyn_company
WHERE msdyn_sellable
"""
NOT_CUSTOMERS = """
SELECT a::text FROM accounts a
WHERE customertypecode IS DISTINCT FROM 3 OR msdyn_company IN (
    SELECT cdm_companyid FROM cdm_companies WHERE cdm_companycode = 'ITCO')
UNION ALL
SELECT p::text FROM contacts p WHERE msdyn_sellable IS DISTINCT FROM true
ORDER BY 1
"""
UNLINKED_CUSTOMERS = """
SELECT c::text FROM customersv3 c WHERE dataareaid = 'itco' ORDER BY 1
"""
