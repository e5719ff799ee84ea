"""What a map would do with present records, column by column."""

from __future__ import annotations

import pytest

from syncengine.mapping.model import Direction
from syncengine.preview import PreviewRecord, Rule, preview
from tests.engine.pair import CUSTOMERS_MAP, Pair

FORWARD = Direction.FINOPS_TO_DATAVERSE
BACKWARD = Direction.DATAVERSE_TO_FINOPS


def shown(
    pair: Pair, direction: Direction, key: str | None = None, limit: int = 5
) -> list[PreviewRecord]:
    connectors = pair.connectors
    return preview(
        connectors[direction.source],
        connectors[direction.target],
        pair.leg(CUSTOMERS_MAP, direction),
        key=key,
        limit=limit,
    )


def test_every_column_shows_its_source_its_rule_and_its_result(pair: Pair) -> None:
    pair.add_groups("10")
    pair.add_customer("C1", customergroupid="10", onholdstatus="All", creditlimit=5)
    (record,) = shown(pair, FORWARD)
    assert record.key == ("usmf", "C1")
    assert record.target is None
    assert [
        (c.column, c.source, c.value, c.rule, c.result) for c in record.columns
    ] == [
        ("msdyn_company.cdm_companycode", "dataareaid", "usmf", Rule.COMPANY, "USMF"),
        ("accountnumber", "customeraccount", "C1", Rule.COPY, "C1"),
        ("name", "organizationname", "Name of C1", Rule.CONVERSION, "Name of C1"),
        (
            "msdyn_customergroupid.msdyn_groupid",
            "customergroupid",
            "10",
            Rule.LOOKUP,
            "10",
        ),
        ("msdyn_onholdstatus", "onholdstatus", "All", Rule.VALUE_MAP, "2"),
        ("creditlimit", "creditlimit", "5.000000", Rule.CONVERSION, "5.0000"),
        ("customertypecode", None, None, Rule.CONSTANT, "3"),
    ]


def test_what_the_target_holds_is_set_beside(pair: Pair) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    (record,) = shown(pair, FORWARD, "usmf / C1")
    assert record.differences == ("name",)
    assert record.target is not None
    assert record.target["name"] == "Theirs"
    (back,) = shown(pair, BACKWARD, "C1")
    assert back.target is not None
    assert back.target["organizationname"] == "Ours"


def test_a_record_that_fails_says_why_and_writes_nothing(pair: Pair) -> None:
    pair.add_customer("C1", onholdstatus="Perhaps")
    (record,) = shown(pair, FORWARD)
    assert (record.error_code, record.error_column) == (
        "value_not_in_map",
        "msdyn_onholdstatus",
    )
    assert all(column.result is None for column in record.columns)
    assert {c.column: c.value for c in record.columns}[
        "msdyn_onholdstatus"
    ] == "Perhaps"
    assert pair.accounts() == {}


@pytest.mark.parametrize("key", ["C9", "zzzz / C1", "usmf / C1 / more", "C2"])
def test_a_key_that_is_not_in_scope_shows_nothing(pair: Pair, key: str) -> None:
    pair.add_customer("C1")
    pair.add_customer("C2", partytype="Person")
    assert shown(pair, FORWARD, key) == []


def test_only_some_records_are_shown(pair: Pair) -> None:
    for number in range(9):
        pair.add_customer(f"C{number}")
    assert len(shown(pair, FORWARD, limit=3)) == 3


def test_a_reference_that_leads_nowhere_is_the_error_of_its_column(pair: Pair) -> None:
    pair.add_groups("10")
    pair.add_groups("20", company="dat")
    for account, group in (("C1", "10"), ("C2", "20"), ("C3", "99"), ("C4", None)):
        pair.add_customer(account, customergroupid=group)
    records = {record.key[1]: record for record in shown(pair, FORWARD)}
    assert [records[f"C{n}"].error_code for n in (1, 2, 3, 4)] == [
        "",
        "lookup_not_found",
        "lookup_not_found",
        "",
    ]
    third = records["C3"]
    assert third.error_column == "msdyn_customergroupid.msdyn_groupid"
    assert third.error == (
        "No row of msdyn_customergroups has msdyn_groupid = 99 in company USMF, so "
        "msdyn_customergroupid cannot be filled. Bring that row over first, or correct "
        "the value."
    )
    assert {c.column: c.result for c in third.columns}["accountnumber"] == "C3"
    assert pair.accounts() == {}


def test_a_company_that_the_target_does_not_know_is_an_error(pair: Pair) -> None:
    pair.add_customer("C1", company="dat")
    pair.crm.execute("DELETE FROM cdm_companies WHERE cdm_companycode = 'DAT'")
    (record,) = shown(pair, FORWARD)
    assert (record.error_code, record.error_column) == (
        "lookup_not_found",
        "msdyn_company.cdm_companycode",
    )
