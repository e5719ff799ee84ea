"""The registry of health checks, and what the pure ones weigh."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncengine.mapping.filters import exclude_each_other, parse_filter
from syncengine.mapping.health import Member, Subject, checks, examine
from syncengine.mapping.health.link import differing_companies
from syncengine.mapping.model import Severity, Side, TableMap
from tests.mapping.sample import (
    CUSTOMERS_MAP,
    DATAVERSE,
    FINOPS,
    LINKED,
    accounts_map,
    line,
)

SCHEMAS = {Side.FINOPS: FINOPS, Side.DATAVERSE: DATAVERSE}
NAME = line("organizationname", "=", "name")


def subject(table_map: TableMap, *others: Member, **values: object) -> Subject:
    member = Member(table_map, active=True)
    return Subject(member, SCHEMAS, LINKED, others, **values)  # type: ignore[arg-type]


def codes(*arguments: object, **values: object) -> dict[str, Severity]:
    found = examine(subject(*arguments, **values))  # type: ignore[arg-type]
    return {finding.code: finding.severity for finding in found}


def test_every_check_says_which_codes_it_gives() -> None:
    for check in checks():
        assert check.__doc__, check.__name__
    assert len({check.__module__ for check in checks()}) > 5


def test_what_nobody_foresaw_in_a_check_is_a_finding_with_details() -> None:
    broken = Subject(Member(accounts_map(NAME)), {}, LINKED)
    found = examine(broken)
    assert {finding.code for finding in found} == {"DIPV1001"}
    assert {finding.severity for finding in found} == {Severity.ERROR}
    for finding in found:
        assert "KeyError" in finding.message
        assert finding.place == "customers"
        assert "report it" in finding.cure


def test_errors_come_first_and_nothing_twice() -> None:
    table_map = accounts_map(
        NAME,
        line("nothing", "=", "description"),
        finops_filter='(PartyType == "Organization")',
    )
    found = examine(subject(table_map))
    order = [finding.severity for finding in found]
    assert order == sorted(order, key=list(Severity).index)
    assert len(found) == len(set(found)) > 2


# -- filters that exclude each other --------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('(a == "x")', '(a == "y")'),
        ('(a == "x")', '(A != "x")'),
        ('(a == "x") && (b == 1)', "(b == 2)"),
        ('(a == "x") || (a == "y")', '(a == "z")'),
        ("(b > 1000)", "(b <= 1000)"),
        ("(b > 3)", "(b == null)"),
        ("(b >= 5)", "(b < 2) || (b == null)"),
        ('!(a == "x")', '(a == "x")'),
        ('(a like "x*")', "(a == null)"),
        ('(b == 1) || ((b == 2) && (a == "x"))', "(b == 3)"),
    ],
)
def test_filters_that_no_row_can_match_together(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        assert exclude_each_other(*(parse_filter(Side.FINOPS, t) for t in (one, other)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('(a == "x")', ""),
        ('(a == "x")', '(b == "y")'),
        ('(a != "x")', '(a != "y")'),
        ('(a != "x")', "(a == null)"),
        ('(a == "x")', '(a like "x*")'),
        ("(b > 1)", "(b < 3)"),
        ("(b >= 1)", "(b <= 1)"),
        ('(a == "x") || (b == 1)', '(a == "y")'),
        ('!(a == "x")', '!(a == "y")'),
    ],
)
def test_filters_that_some_row_may_match_together(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        assert not exclude_each_other(
            *(parse_filter(Side.FINOPS, text) for text in (one, other))
        )


def test_filters_of_the_other_dialect_are_weighed_too() -> None:
    texts = ("msdyn_sellable eq true", "msdyn_sellable eq false and a ne null")
    first, second = (parse_filter(Side.DATAVERSE, text) for text in texts)
    assert exclude_each_other(first, second)
    assert not exclude_each_other(first, first)


# -- several maps of one table --------------------------------------------------------

PEOPLE = accounts_map(NAME, name="people", finops_filter='(PartyType == "Person")')
ORGANIZATIONS = accounts_map(NAME, finops_filter='(PartyType == "Organization")')


def test_maps_of_one_table_with_filters_apart_are_only_good_to_know() -> None:
    found = codes(ORGANIZATIONS, Member(PEOPLE))
    assert found["1700"] is Severity.INFO
    # In Dataverse nothing tells their accounts apart; their customers are apart.
    assert "VMAP105" in codes(ORGANIZATIONS, Member(replace(PEOPLE, finops_filter="")))


def test_maps_that_are_as_published_are_meant_so() -> None:
    for changed, severity in ((False, Severity.INFO), (True, Severity.WARNING)):
        published = replace(accounts_map(NAME), name="published")
        other = replace(published, name="other")
        if changed:
            other = replace(other, dataverse_filter="name ne 'x'")
        member = Member(published, published=published)
        others = (Member(other, published=published),)
        found = examine(Subject(member, SCHEMAS, LINKED, others))
        told = {finding.code: finding.severity for finding in found}
        assert (told["1700"], told["VMAP105"]) == (severity, severity)


@pytest.fixture
def backward_only() -> TableMap:
    return replace(
        CUSTOMERS_MAP,
        columns=(
            line("customeraccount", "<", "accountnumber"),
            line("organizationname", "<", "name"),
        ),
        finops_filter="",
        dataverse_filter="",
    )


def test_a_one_way_map_is_meant_so_where_the_ready_made_one_is(
    backward_only: TableMap,
) -> None:
    assert codes(backward_only)["500"] is Severity.WARNING
    member = Member(backward_only, published=replace(backward_only, name="published"))
    (finding,) = (
        f for f in examine(Subject(member, SCHEMAS, LINKED)) if f.code == "500"
    )
    assert finding.severity is Severity.INFO


# -- lookups --------------------------------------------------------------------------

GROUPED = accounts_map(
    line("customergroupid", "=", "msdyn_customergroupid.msdyn_groupid")
)
GROUPS = replace(
    accounts_map(),
    name="groups",
    finops_table="customergroups",
    dataverse_table="msdyn_customergroups",
)


def test_a_lookup_s_table_needs_a_running_map_that_writes_it() -> None:
    ready_made = {"msdyn_customergroups": "Customer groups"}
    (finding,) = examine(subject(GROUPED, ready_made=ready_made))
    assert finding.code == "VMAP104"
    assert finding.place == "msdyn_customergroupid.msdyn_groupid"
    assert (
        finding.cure == "Install the ready-made map Customer groups and run it first."
    )
    (finding,) = examine(subject(GROUPED, Member(GROUPS), ready_made=ready_made))
    assert finding.cure == "Run groups first."
    assert codes(GROUPED, Member(GROUPS, active=True)) == {}
    back = replace(GROUPS, columns=(line("customergroupid", "<", "msdyn_groupid"),))
    assert codes(GROUPED, Member(back, active=True)) == {"VMAP104": Severity.WARNING}


def test_a_lookup_into_a_table_that_nothing_fills_is_meant_so_as_published() -> None:
    member = Member(GROUPED, published=GROUPED)
    (finding,) = examine(Subject(member, SCHEMAS, LINKED))
    assert (finding.code, finding.severity) == ("VMAP104", Severity.INFO)


# -- the link -------------------------------------------------------------------------


def test_companies_are_compared_both_ways() -> None:
    side = Side.DATAVERSE
    assert differing_companies(side, "crm", ["A", "B"], ["B", "A"]) == []
    (finding,) = differing_companies(side, "crm", ["A", "B"], ["B", "C", "C", ""])
    assert finding.code == "DWDVEV1003"
    assert finding.message.endswith(
        "linked but not there: A; 1 without a code; more than once: C; "
        "there but not linked: C."
    )
