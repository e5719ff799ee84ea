"""Comparing two sides, against real databases and a brute-force judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.counterparts import Counterparts
from syncengine.errors import SetupError
from syncengine.mapping.model import KeyPair, TableMap
from syncengine.reconcile import (
    CompareResult,
    Comparison,
    Difference,
    DifferenceKind,
    compare,
)
from tests.engine.pair import CUSTOMERS_MAP, LINKED, Pair, line
from tests.properties import examples


def customers(pair: Pair, **options: object) -> CompareResult:
    return compare(
        pair.finops,
        pair.dataverse,
        *pair.legs(CUSTOMERS_MAP),
        **options,  # type: ignore[arg-type]
    )


def kinds(result: CompareResult) -> dict[str, str]:
    return {str(one.key[-1]): one.kind.value for one in result.examples}


def test_empty_tables_are_equal(pair: Pair) -> None:
    result = customers(pair)
    assert (result.compared, result.in_step) == (0, True)


def test_equal_rows_of_all_linked_companies_are_equal(pair: Pair) -> None:
    for code in ("usmf", "dat"):
        for account in ("C1", "C2", "c10", "Ä-1"):
            pair.add_customer(account, code)
            pair.add_account(account, code.upper())
    result = customers(pair)
    assert (result.compared, result.equal) == (8, 8)


def test_missing_rows_are_told_apart_by_side(pair: Pair) -> None:
    pair.add_customer("ONLY-ERP")
    pair.add_account("ONLY-CRM")
    result = customers(pair)
    assert kinds(result) == {
        "ONLY-ERP": "missing_in_dataverse",
        "ONLY-CRM": "missing_in_finops",
    }
    assert (result.missing_in_finops, result.missing_in_dataverse) == (1, 1)
    assert (result.compared, result.equal) == (2, 0)


def test_the_same_account_in_two_companies_is_two_records(pair: Pair) -> None:
    pair.add_customer("C1", "usmf")
    pair.add_account("C1", "DAT")
    result = customers(pair)
    assert (result.missing_in_finops, result.missing_in_dataverse) == (1, 1)


def test_a_difference_names_the_column_and_both_values(pair: Pair) -> None:
    pair.add_groups("10", "20")
    pair.add_customer("C1", customergroupid="10", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    result = customers(pair)
    (example,) = result.examples
    assert example.key == ("USMF", "C1")
    assert [(c.column, c.finops, c.dataverse) for c in example.columns] == [
        ("name", "Ours", "Theirs"),
        ("msdyn_customergroupid.msdyn_groupid", "10", None),
    ]


def test_a_column_that_flows_only_back_is_compared_in_the_erp_s_form(
    pair: Pair,
) -> None:
    pair.add_customer("C1", score=1)
    pair.add_account("C1", score=2)
    pair.add_customer("C2", score=5)
    pair.add_account("C2", score=5)
    result = customers(pair)
    (example,) = result.examples
    assert [(c.column, c.finops, c.dataverse) for c in example.columns] == [
        ("score", "1", "2")
    ]
    assert result.equal == 1


def test_values_that_mean_the_same_are_equal(pair: Pair) -> None:
    pair.add_customer("C1", creditlimit="100.500000", onholdstatus="Invoice")
    pair.add_account("C1", creditlimit="100.5", msdyn_onholdstatus=1)
    assert customers(pair).in_step


def test_a_row_that_cannot_be_mapped_is_different_with_the_reason(pair: Pair) -> None:
    pair.add_customer("C1", onholdstatus="Perhaps")
    pair.add_account("C1")
    pair.add_customer("C2", organizationname="far too long " * 5)
    result = customers(pair)
    reasons = {str(one.key[-1]): one.reason for one in result.examples}
    assert (result.different, result.compared) == (2, 2)
    assert "value map" in reasons["C1"]
    assert "40" in reasons["C2"]


def test_rows_of_companies_that_are_not_linked_are_not_counted(pair: Pair) -> None:
    pair.add_customer("C1", "zzzz")
    pair.add_account("C2", "XXXX")
    assert customers(pair).compared == 0


def test_nothing_is_compared_when_no_company_is_linked(pair: Pair) -> None:
    pair.add_customer("C1")
    result = compare(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP, ()))
    assert result.compared == 0


def test_a_record_that_one_side_filters_out_is_not_counted(pair: Pair) -> None:
    pair.add_customer("C1", partytype="Person")
    pair.add_account("C1")
    pair.add_customer("C2")
    pair.add_account("C2", customertypecode=1)
    pair.add_customer("C3", partytype="Person")
    pair.add_account("C4", customertypecode=1)
    assert customers(pair).compared == 0


def test_an_account_without_a_number_is_missing_with_the_reason(pair: Pair) -> None:
    pair.crm.execute(
        "INSERT INTO accounts (msdyn_company, customertypecode) VALUES (%s, 3)",
        [pair.company("USMF")],
    )
    result = customers(pair)
    assert result.missing_in_finops == 1
    assert "no integration key" in result.examples[0].reason


def test_two_rows_of_one_key_are_different(pair: Pair) -> None:
    pair.crm.execute(
        "ALTER TABLE accounts DROP CONSTRAINT accounts_msdyn_company_accountnumber_key"
    )
    pair.add_customer("C1")
    pair.add_account("C1")
    pair.add_account("C1")
    result = customers(pair)
    assert (result.different, result.compared) == (1, 1)
    assert "Several rows of accounts" in result.examples[0].reason


def test_a_value_read_by_either_direction_is_equal(pair: Pair) -> None:
    """Null in the CRM becomes the default in the ERP, which is not sent back."""
    table_map = TableMap(
        "defaults",
        "customersv3",
        "accounts",
        (
            line("customeraccount", "=", "accountnumber"),
            line("organizationname", "><", "name", default="(no name)"),
        ),
        CUSTOMERS_MAP.key,
    )
    pair.add_customer("C1", organizationname="(no name)")
    pair.add_account("C1", name=None)
    result = compare(pair.finops, pair.dataverse, *pair.legs(table_map))
    assert result.in_step


def test_a_one_way_map_is_compared_by_its_only_leg(pair: Pair) -> None:
    pair.add_customer("C1")
    pair.add_account("C1", name="Other")
    pair.add_account("C2", customertypecode=7)
    pair.add_customer("C3")
    forward, backward = pair.legs(CUSTOMERS_MAP)
    only_forward = compare(pair.finops, pair.dataverse, forward, None)
    assert kinds(only_forward) == {"C1": "different", "C3": "missing_in_dataverse"}
    only_backward = compare(pair.finops, pair.dataverse, None, backward)
    assert kinds(only_backward) == {"C1": "different"}
    assert only_backward.unclaimed == 1
    difference = only_backward.examples[0].columns[0]
    assert (difference.finops, difference.dataverse) == ("Name of C1", "Other")


def test_rows_a_one_way_map_does_not_bring_are_not_missing(pair: Pair) -> None:
    """Two maps may fill one table of the CRM, each from a table of its own."""
    pair.add_customer("C1")
    pair.add_account("C1")
    pair.add_account("VENDOR-1")
    forward, _ = pair.legs(CUSTOMERS_MAP)
    result = compare(pair.finops, pair.dataverse, forward, None)
    assert (result.equal, result.unclaimed, result.in_step) == (1, 1, True)


def test_what_was_on_its_way_is_no_difference(pair: Pair) -> None:
    for number in range(6):
        pair.add_customer(f"C{number}")
        pair.add_account(f"C{number}")
    pair.erp.execute(
        "UPDATE customersv3 SET organizationname = 'New' WHERE customeraccount = 'C1'"
    )
    pair.add_customer("C7")
    pair.add_account("C8")
    pair.add_account("C9")
    caught_up: list[int] = []

    def catch_up() -> None:
        """The streams carry over all but C9."""
        caught_up.append(1)
        pair.crm.execute("UPDATE accounts SET name = 'New' WHERE accountnumber = 'C1'")
        pair.add_account("C7")
        pair.add_customer("C8")

    result = customers(pair, catch_up=catch_up)
    assert kinds(result) == {"C9": "missing_in_finops"}
    assert (result.equal, result.compared, len(caught_up)) == (8, 9, 1)


def test_some_records_are_compared_alone(pair: Pair) -> None:
    for number in range(4):
        pair.add_customer(f"C{number}", organizationname="Ours")
    pair.add_account("C0", name="Ours")
    pair.add_account("C1", name="Theirs")
    pair.add_account("C9", name="Theirs")
    sides = Counterparts(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP))
    result = Comparison(sides).run_only(
        {
            ("USMF", "C0"): ("usmf", "C0"),
            ("USMF", "C1"): ("usmf", "C1"),
            ("USMF", "C9"): ("usmf", "C9"),
        }
    )
    assert kinds(result) == {"C1": "different", "C9": "missing_in_finops"}
    assert result.compared == 3


def test_a_listener_that_raises_ends_the_comparison(pair: Pair) -> None:
    for number in range(10):
        pair.add_customer(f"C{number}")

    def cancel(rows: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        customers(pair, on_progress=cancel)


def test_a_large_table_is_added_up_in_parts(pair: Pair) -> None:
    pair.erp.execute(
        "INSERT INTO customersv3 SELECT 'usmf', 'C' || n, 'Name of C' || n, NULL, "
        "'Organization', 'No', n, n FROM generate_series(1, 3000) n"
    )
    pair.crm.execute(
        "INSERT INTO accounts SELECT gen_random_uuid(), %s, 'C' || n, "
        "'Name of C' || n, NULL, 3, 0, n, n FROM generate_series(1, 3000) n",
        [pair.company("USMF")],
    )
    pair.crm.execute("UPDATE accounts SET name = 'x' WHERE accountnumber = 'C1500'")
    told: list[int] = []
    result = customers(pair, part_rows=500, on_progress=told.append)
    assert (result.equal, kinds(result)) == (2999, {"C1500": "different"})
    assert len(told) > 4
    assert told[-1] == 6000


def test_a_map_in_which_nothing_flows_is_refused(pair: Pair) -> None:
    with pytest.raises(SetupError) as refusal:
        compare(pair.finops, pair.dataverse, None, None)
    assert refusal.value.code == "nothing_mapped"


def test_keys_may_be_converted(pair: Pair) -> None:
    """Numbers do not sort as text does; comparing does not need any order."""
    pair.crm.execute(
        "ALTER TABLE accounts ALTER accountnumber TYPE integer "
        "USING accountnumber::integer"
    )
    for number in range(1, 31):
        pair.add_customer(str(number))
        if number != 9:
            pair.add_account(str(number))
    result = customers(pair)
    assert (result.equal, result.missing_in_dataverse) == (29, 1)
    assert kinds(result) == {"9": "missing_in_dataverse"}


def test_keys_may_lead_through_a_lookup(pair: Pair) -> None:
    table_map = TableMap(
        "by group",
        "customersv3",
        "accounts",
        (
            line("customergroupid", ">", "msdyn_customergroupid.msdyn_groupid"),
            line("organizationname", ">", "name"),
        ),
        (KeyPair("customergroupid", "msdyn_customergroupid.msdyn_groupid"),),
    )
    pair.add_groups("10", "20")
    pair.add_customer("C1", customergroupid="10", organizationname="A")
    pair.add_customer("C2", customergroupid="20", organizationname="B")
    row = pair.crm.execute(
        "SELECT msdyn_customergroupid FROM msdyn_customergroups"
        " WHERE msdyn_groupid = '10'"
    ).fetchone()
    assert row is not None
    pair.add_account("X", name="A", msdyn_customergroupid=row[0])
    result = compare(pair.finops, pair.dataverse, *pair.legs(table_map))
    assert (result.equal, result.missing_in_dataverse) == (1, 1)


def test_examples_are_limited_and_all_differences_are_told(pair: Pair) -> None:
    for number in range(30):
        pair.add_customer(f"C{number}")
    told: list[Difference] = []
    read: list[int] = []
    result = customers(
        pair, max_examples=5, on_difference=told.append, on_progress=read.append
    )
    assert (len(result.examples), len(told), result.compared) == (5, 30, 30)
    assert read[-1] >= 30


NAMES = st.sampled_from(["A", "B", "b", "Ä", "", None, "tab\there"])
RECORDS = st.dictionaries(
    st.tuples(
        st.sampled_from(["usmf", "dat", "xxxx"]),
        st.sampled_from(["1", "2", "10", "a", "B", "ß"]),
    ),
    st.tuples(NAMES, st.sampled_from(["No", "All", None]), st.booleans()),
    max_size=18,
)


@pytest.fixture
def shared_pair(make_database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(make_database)
    yield pair
    pair.close()


def judge(left: dict, right: dict) -> dict[tuple[str, str], str]:
    """What compare must find, by the definition."""
    found: dict[tuple[str, str], str] = {}
    for key in left.keys() | right.keys():
        if key[0] == "xxxx":
            continue
        ours, theirs = left.get(key), right.get(key)
        if (ours and not ours[2]) or (theirs and not theirs[2]):
            continue
        if theirs is None:
            found[key] = "missing_in_dataverse"
        elif ours is None:
            found[key] = "missing_in_finops"
        else:
            found[key] = "equal" if ours[:2] == theirs[:2] else "different"
    return found


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    left=RECORDS,
    right=RECORDS,
    buckets=st.sampled_from([1, 4, 1024]),
    digests=st.booleans(),
)
def test_it_agrees_with_a_comparison_of_dictionaries(
    shared_pair: Pair, left: dict, right: dict, buckets: int, digests: bool
) -> None:
    pair = shared_pair
    pair.erp.execute("TRUNCATE customersv3")
    pair.crm.execute("TRUNCATE accounts")
    for (company, account), (name, hold, organization) in left.items():
        pair.add_customer(
            account,
            company,
            organizationname=name,
            onholdstatus=hold,
            partytype="Organization" if organization else "Person",
        )
    codes = {"No": 0, "All": 2, None: None}
    for (company, account), (name, hold, organization) in right.items():
        pair.add_account(
            account,
            company.upper(),
            name=name,
            msdyn_onholdstatus=codes[hold],
            customertypecode=3 if organization else 1,
        )
    sides = Counterparts(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP, LINKED))
    result = Comparison(
        sides, max_examples=100, buckets=buckets, group_rows=3, digests=digests
    ).run()
    expected = judge(left, right)
    wrong = {key: what for key, what in expected.items() if what != "equal"}
    assert {
        (str(one.key[0]).lower(), str(one.key[1])): one.kind.value
        for one in result.examples
    } == wrong
    assert result.equal == len(expected) - len(wrong)
    assert result.different == sum(
        what == DifferenceKind.DIFFERENT for what in wrong.values()
    )
