"""Mapped rows: values, transforms, companies, lookups, and who is to blame."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import EngineError, RecordError
from syncengine.mapping.compiled import BoundLeg, CompiledLeg, Row
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dangling import dangling
from syncengine.mapping.model import ColumnMap, Direction, KeyPair, TableMap
from syncengine.mapping.schema import ColumnType
from syncengine.mapping.types import equal
from syncengine.mapping.value_tables import BLANK
from tests.mapping.sample import (
    BACKWARD,
    BIGINT,
    BOOLEAN,
    CUSTOMERS,
    CUSTOMERS_MAP,
    DATE,
    DOUBLE,
    FORWARD,
    INTEGER,
    LINKED,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    accounts_map,
    char,
    enum,
    environment,
    environments,
    line,
    numeric,
    table,
    text,
)

GROUP = "msdyn_customergroupid"


def leg_of(table_map: TableMap, direction: Direction = FORWARD) -> CompiledLeg:
    return compile_leg(table_map, direction, *environments(direction), LINKED)


def row_for(bound: BoundLeg, **values: str | None) -> Row:
    """A source row of the bound layout; company and key are filled in."""
    known: dict[str, str | None] = {
        "dataareaid": "usmf",
        "customeraccount": "C-1",
        "msdyn_company.cdm_companycode": "USMF",
        "accountnumber": "C-1",
        **values,
    }
    return tuple(known.get(path) for path in bound.columns)


def mapped(
    *lines: ColumnMap, direction: Direction = FORWARD, **values: str | None
) -> dict[str, str | None]:
    """The mapped row by target column, without company and key."""
    leg = leg_of(accounts_map(*lines), direction)
    bound = leg.bind(leg.source_paths)
    result = bound.map(row_for(bound, **values), ())
    return {
        slot.column: value
        for i, (slot, value) in enumerate(zip(leg.slots, result, strict=True))
        if i not in leg.key
    }


def refusal(
    *lines: ColumnMap, direction: Direction = FORWARD, **values: str | None
) -> RecordError:
    with pytest.raises(RecordError) as caught:
        mapped(*lines, direction=direction, **values)
    return caught.value


HOLD = {"No": "0", "Invoice": "1", "All": "2"}
ON_HOLD = line("onholdstatus", "><", "msdyn_onholdstatus", values=HOLD)


def test_the_customers_of_the_architecture_go_both_ways() -> None:
    leg = leg_of(CUSTOMERS_MAP)
    bound = leg.bind(tuple(column.name for column in CUSTOMERS.columns))
    customer = (
        *("usmf", "C-1", "Contoso Köln", "10", "Organization", "All", "12.500000"),
        *("Yes", None, "2020-02-29", "2020-01-01 10:00:00", "5"),
    )
    account = (
        *("USMF", "C-1", "Contoso Köln", "10", "2", "t", "12.5000", None),
        *("2020-02-29 00:00:00+00", "2020-01-01 10:00:00+00", "5", "3"),
    )
    assert bound.in_scope(customer, ())
    assert bound.map(customer, ()) == account
    assert bound.key(customer, ()) == leg.key_of(account) == ("USMF", "C-1")
    assert bound.source_key(customer, ()) == ("usmf", "C-1")
    assert leg.constants == {11}
    assert "partytype" not in leg.triggers
    back = leg_of(CUSTOMERS_MAP, BACKWARD)
    returned = back.bind(back.source_paths).map(account, ())
    assert returned == (
        *("usmf", "C-1", "Contoso Köln", "10", "All", "yes", "12.500000", None),
        *("2020-02-29", "2020-01-01 10:00:00", "5", "Organization"),
    )


@pytest.mark.parametrize(
    ("symbol", "forward", "backward"),
    [
        ("=", True, True),
        ("><", True, True),
        (">", True, False),
        (">>", True, False),
        ("<", False, True),
        ("<<", False, True),
    ],
)
def test_a_column_flows_the_ways_its_symbol_says(
    symbol: str, forward: bool, backward: bool
) -> None:
    memo = line("salesmemo", symbol, "description")
    there = mapped(memo, salesmemo="hello")
    back = mapped(memo, direction=BACKWARD, description="hello")
    assert there == ({"description": "hello"} if forward else {})
    assert back == ({"salesmemo": "hello"} if backward else {})


def test_constants_are_written_to_the_side_that_has_the_column() -> None:
    lines = (
        line(None, ">>", "customertypecode", default="3"),
        line("partytype", "<<", None, default="organization"),
    )
    assert mapped(*lines) == {"customertypecode": "3"}
    assert mapped(*lines, direction=BACKWARD) == {"partytype": "Organization"}


def test_a_default_stands_for_a_missing_value_only() -> None:
    memo = line("salesmemo", "><", "description", default="none given")
    assert mapped(memo) == {"description": "none given"}
    assert mapped(memo, salesmemo="") == {"description": ""}
    assert mapped(memo, salesmemo="x") == {"description": "x"}


def test_a_default_stands_behind_a_value_map_too() -> None:
    with_default = line("onholdstatus", ">>", "msdyn_onholdstatus", "7", HOLD)
    assert mapped(with_default) == {"msdyn_onholdstatus": "7"}
    assert mapped(with_default, onholdstatus="All") == {"msdyn_onholdstatus": "2"}


def test_null_passes_a_value_map_as_null() -> None:
    assert mapped(ON_HOLD) == {"msdyn_onholdstatus": None}
    assert mapped(ON_HOLD, direction=BACKWARD) == {"onholdstatus": None}


def test_a_value_map_prefers_the_exact_value_to_another_case() -> None:
    values = {"no": "1", "No": "0"}
    hold = line("onholdstatus", ">>", "msdyn_onholdstatus", values=values)
    assert mapped(hold, onholdstatus="No") == {"msdyn_onholdstatus": "0"}
    assert mapped(hold, onholdstatus="no") == {"msdyn_onholdstatus": "1"}
    assert mapped(hold, onholdstatus="NO") == {"msdyn_onholdstatus": "1"}


def test_a_value_map_read_backwards_takes_the_first_pair() -> None:
    values = {"Never": "0", "No": "0"}
    hold = line("onholdstatus", "><", "msdyn_onholdstatus", values=values)
    assert mapped(hold, direction=BACKWARD, msdyn_onholdstatus="0") == {
        "onholdstatus": "Never"
    }


def test_a_value_map_knows_numbers_by_value() -> None:
    rating = line("creditlimit", ">>", "name", values={"10": "ten"})
    assert mapped(rating, creditlimit="10.000000") == {"name": "ten"}


def test_a_value_that_is_not_in_the_map_is_named_with_its_column() -> None:
    error = refusal(ON_HOLD, onholdstatus="Sometimes")
    assert error.code == "value_not_in_map"
    assert error.column == "msdyn_onholdstatus"
    assert error.value == "Sometimes"
    assert error.message == (
        'Column msdyn_onholdstatus, from onholdstatus: the value "Sometimes" is not '
        "in the value map."
    )


@given(st.text(max_size=20))
def test_no_value_outside_the_map_ever_passes(value: str) -> None:
    folded = {known.casefold() for known in HOLD}
    if value.strip().casefold() in folded:
        assert mapped(ON_HOLD, onholdstatus=value)["msdyn_onholdstatus"] is not None
    else:
        assert refusal(ON_HOLD, onholdstatus=value).code == "value_not_in_map"


def test_a_failing_conversion_names_the_column_and_the_limit() -> None:
    error = refusal(
        line("organizationname", "=", "name"),
        direction=BACKWARD,
        name="n" * 101,
    )
    assert error.code == "value_too_long"
    assert error.column == "organizationname"
    assert error.details == {"source_column": "name"}
    assert "101 characters" in error.message
    assert "at most 100" in error.message


def test_the_first_failing_column_is_named_whatever_else_fails() -> None:
    error = refusal(
        line("creditlimit", "=", "creditlimit"),
        ON_HOLD,
        creditlimit="1.123456",
        onholdstatus="Sometimes",
    )
    assert (error.code, error.column) == ("precision_loss", "creditlimit")


def test_an_empty_key_is_refused_naming_the_target_column() -> None:
    leg = leg_of(accounts_map(), BACKWARD)
    bound = leg.bind(leg.source_paths)
    row = row_for(bound, accountnumber=None)
    for function in (bound.map, bound.key):
        with pytest.raises(RecordError) as caught:
            function(row, ())
        assert caught.value.code == "required_value_missing"
        assert caught.value.column == "customeraccount"


def test_an_empty_source_of_a_required_column_is_refused() -> None:
    error = refusal(
        line("partytype", "<", "description"), direction=BACKWARD, description=None
    )
    assert (error.code, error.column) == ("required_value_missing", "partytype")
    assert "description is empty" in error.message


def test_companies_that_are_not_linked_are_out_of_scope() -> None:
    leg = leg_of(accounts_map())
    bound = leg.bind(leg.source_paths)
    assert bound.company_linked(row_for(bound), ())
    for company in ("frrt", "USMF", None):
        row = row_for(bound, dataareaid=company)
        assert not bound.company_linked(row, ())
        assert not bound.in_scope(row, ())
    with pytest.raises(RecordError) as caught:
        bound.map(row_for(bound, dataareaid="frrt"), ())
    assert caught.value.code == "company_not_linked"


def test_the_filter_of_the_source_side_decides_the_scope() -> None:
    forward = leg_of(CUSTOMERS_MAP)
    bound = forward.bind(forward.source_paths)
    assert bound.in_scope(row_for(bound, partytype="Organization"), ())
    assert not bound.in_scope(row_for(bound, partytype="Person"), ())
    assert bound.company_linked(row_for(bound, partytype="Person"), ())
    backward = leg_of(CUSTOMERS_MAP, BACKWARD)
    bound = backward.bind(backward.source_paths)
    assert bound.in_scope(row_for(bound, customertypecode="3"), ())
    assert not bound.in_scope(row_for(bound, customertypecode="4"), ())
    assert not bound.in_scope(row_for(bound, customertypecode=None), ())


CHANGE = ("accountnumber", "msdyn_company", GROUP, "name")
GROUP_LINE = line("customergroupid", "=", f"{GROUP}.msdyn_groupid")


def test_references_of_a_change_are_resolved_through_what_the_caller_found() -> None:
    leg = leg_of(accounts_map(GROUP_LINE), BACKWARD)
    bound = leg.bind(CHANGE)
    assert bound.references == (1, 2)
    found: list[Mapping[str, str | None]] = [{"u1": "USMF"}, {"g1": "10"}]
    row = ("C-1", "u1", "g1", "Contoso")
    assert bound.in_scope(row, found)
    assert bound.map(row, found) == ("usmf", "C-1", "10")
    assert bound.key(row, found) == ("usmf", "C-1")
    assert bound.source_key(row, found) == ("USMF", "C-1")
    assert bound.map(("C-1", "u1", None, None), found) == ("usmf", "C-1", None)


def test_joined_paths_of_a_layout_are_read_directly() -> None:
    leg = leg_of(accounts_map(GROUP_LINE), BACKWARD)
    bound = leg.bind(leg.source_paths)
    assert bound.references == (None, None)
    assert bound.map(("USMF", "C-1", "10"), ()) == ("usmf", "C-1", "10")


def test_a_reference_nobody_found_is_named() -> None:
    leg = leg_of(accounts_map(GROUP_LINE), BACKWARD)
    bound = leg.bind(CHANGE)
    with pytest.raises(RecordError) as caught:
        bound.map(("C-1", "u1", "g9", None), [{"u1": "USMF"}, {}])
    assert caught.value.code == "source_lookup_not_found"
    assert caught.value.column == "customergroupid"
    assert caught.value.value == "g9"
    assert f"{GROUP}.msdyn_groupid" in caught.value.message
    assert "msdyn_customergroups" in caught.value.message


def test_a_company_nobody_found_is_out_of_scope() -> None:
    leg = leg_of(accounts_map(), BACKWARD)
    bound = leg.bind(CHANGE)
    row = ("C-1", "u9", None, None)
    assert not bound.in_scope(row, [{}])
    assert bound.source_key(row, [{}]) == (dangling("u9"), "C-1")
    with pytest.raises(RecordError) as caught:
        bound.key(row, [{}])
    assert caught.value.code == "source_lookup_not_found"


def test_a_layout_without_a_needed_column_is_a_schema_change() -> None:
    leg = leg_of(accounts_map(GROUP_LINE), BACKWARD)
    with pytest.raises(EngineError) as caught:
        leg.bind(("accountnumber", "msdyn_company"))
    assert caught.value.code == "schema_changed"
    assert GROUP in caught.value.message


def test_a_binding_is_made_once_for_a_layout() -> None:
    leg = leg_of(CUSTOMERS_MAP)
    assert leg.bind(leg.source_paths) is leg.bind(leg.source_paths)


def test_company_columns_of_fixed_length_match_without_their_blanks() -> None:
    finops = environment(
        "erp",
        environments(FORWARD)[0].company,
        table(
            "currencies",
            {"dataareaid": char(6), "code": char(4)},
            primary=("dataareaid", "code"),
        ),
    )
    target = environment(
        "crm",
        finops.company,
        table(
            "targets",
            {"dataareaid": text(6), "code": text(4)},
            primary=("dataareaid", "code"),
        ),
    )
    table_map = TableMap(
        "codes",
        "currencies",
        "targets",
        (line("code", "=", "code"),),
        (KeyPair("code", "code"),),
    )
    leg = compile_leg(table_map, FORWARD, finops, target, LINKED)
    bound = leg.bind(leg.source_paths)
    row = ("usmf  ", "A   ")
    assert bound.in_scope(row, ())
    assert bound.map(row, ()) == ("USMF", "A")


def test_column_names_never_reach_the_generated_code() -> None:
    name = 'x"; raise SystemExit #\n'
    finops = environment("erp", None, table("a", {name: text()}, primary=(name,)))
    crm = environment("crm", None, table("b", {name: text()}, primary=(name,)))
    table_map = TableMap(
        "odd", "a", "b", (line(name, "=", name),), (KeyPair(name, name),)
    )
    leg = compile_leg(table_map, FORWARD, finops, crm, ())
    assert leg.bind((name,)).map(("v",), ()) == ("v",)


# Properties: what goes over comes back

DIGITS = st.decimals(
    min_value=-(10**6), max_value=10**6, places=2, allow_nan=False, allow_infinity=False
).map(lambda number: f"{number:.2f}".replace("-0.00", "0.00"))
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
COLUMNS: list[tuple[ColumnType, ColumnType, st.SearchStrategy[str]]] = [
    (text(20), text(50), WORDS),
    (INTEGER, BIGINT, st.integers(-(2**31), 2**31 - 1).map(str)),
    (INTEGER, text(11), st.integers(-(2**31), 2**31 - 1).map(str)),
    (numeric(10, 2), numeric(14, 4), DIGITS),
    (numeric(10, 2), text(20), DIGITS),
    (numeric(10, 2), DOUBLE, DIGITS),
    (BOOLEAN, INTEGER, st.sampled_from(["t", "f"])),
    (BOOLEAN, text(5), st.sampled_from(["t", "f"])),
    (DATE, TIMESTAMPTZ, st.dates().map(str)),
    (TIMESTAMP, TIMESTAMPTZ, st.datetimes().map(lambda moment: str(moment))),
    (UUID, text(36), st.uuids().map(str)),
    (enum("a", "b"), text(1), st.sampled_from(["a", "b"])),
]


@given(st.data())
def test_two_way_columns_of_any_types_return_the_same_row(data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=8))
    names = [f"c{i}" for i in range(len(pairs))]
    one = table(
        "one",
        {"k": INTEGER, **{n: p[0] for n, p in zip(names, pairs, strict=True)}},
        primary=("k",),
    )
    two = table(
        "two",
        {"k": BIGINT, **{n: p[1] for n, p in zip(names, pairs, strict=True)}},
        primary=("k",),
    )
    table_map = TableMap(
        "any",
        "one",
        "two",
        tuple(line(name, "=", name) for name in ("k", *names)),
        (KeyPair("k", "k"),),
    )
    finops, crm = environment("erp", None, one), environment("crm", None, two)
    there = compile_leg(table_map, FORWARD, finops, crm, ())
    back = compile_leg(table_map, BACKWARD, crm, finops, ())
    row = ("1", *(data.draw(st.none() | pair[2]) for pair in pairs))
    carried = there.bind(there.source_paths).map(row, ())
    returned = back.bind(back.source_paths).map(carried, ())
    for i, (before, after) in enumerate(zip(row, returned, strict=True)):
        assert equal(one.columns[i].type, before, after)
        assert (before is None) == (carried[i] is None)


@given(st.data())
def test_one_to_one_value_maps_return_the_same_value(data: st.DataObject) -> None:
    left = data.draw(
        st.lists(
            st.text(st.characters(codec="ascii"), min_size=1, max_size=10),
            min_size=1,
            max_size=10,
            unique_by=lambda word: word.strip().casefold(),
        ).filter(lambda words: BLANK not in {w.strip().casefold() for w in words})
    )
    right = data.draw(
        st.lists(
            st.integers(-(2**31), 2**31 - 1),
            min_size=len(left),
            max_size=len(left),
            unique=True,
        )
    )
    values = dict(zip(left, map(str, right), strict=True))
    hold = line("onholdstatus", "><", "msdyn_onholdstatus", values=values)
    chosen = data.draw(st.none() | st.sampled_from(left))
    carried = mapped(hold, onholdstatus=chosen)["msdyn_onholdstatus"]
    assert carried == (None if chosen is None else values[chosen])
    back = mapped(hold, direction=BACKWARD, msdyn_onholdstatus=carried)
    assert back == {"onholdstatus": chosen}
