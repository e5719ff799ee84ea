from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from syncengine.mapping.filters import (
    Expression,
    FilterColumnError,
    bind_types,
    columns,
    compile_predicate,
    empty_text_tests,
    no_date_tests,
    parse_filter,
    parse_finops,
    parse_odata,
    to_finops,
    to_odata,
    to_sql,
)
from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparison,
    Like,
    Not,
    Or,
    Wildcard,
)
from syncengine.mapping.filters.sql import Identifier, Raw, Value
from syncengine.mapping.model import Side
from tests.mapping.filter_trees import CUSTOMERS
from tests.waiting import wait_until

NAMES = tuple(column.name for column in CUSTOMERS.columns)


def compared(expression: Expression) -> tuple[str, str, object]:
    assert isinstance(expression, Comparison)
    return (
        expression.column.name,
        expression.operator.value,
        expression.literal.value,
    )


def matches(expression: Expression, **values: str | None) -> bool:
    row = tuple(values.get(name) for name in NAMES)
    return compile_predicate(expression, NAMES, CUSTOMERS)(row)


def test_it_reads_a_range_expression() -> None:
    tree = parse_finops('((PartyType == "Organization") && (x != 5)) || !(y == "")')
    assert isinstance(tree, Or)
    both, negated = tree.operands
    assert isinstance(both, And)
    assert [compared(each) for each in both.operands] == [
        ("PartyType", "==", "Organization"),
        ("x", "!=", Decimal(5)),
    ]
    assert isinstance(negated, Not)
    assert compared(negated.operand) == ("y", "==", "")


def test_it_reads_odata() -> None:
    tree = parse_odata("msdyn_sellable eq true and msdyn_contactpersonid ne null")
    assert isinstance(tree, And)
    assert [compared(each) for each in tree.operands] == [
        ("msdyn_sellable", "==", True),
        ("msdyn_contactpersonid", "!=", None),
    ]
    assert compared(parse_odata("customertypecode eq 3")) == (
        "customertypecode",
        "==",
        Decimal(3),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x == 1.50", Decimal("1.5")),
        ("x == -7", Decimal(-7)),
        ("x == .5", Decimal("0.5")),
        ("x == 1e3", Decimal(1000)),
        ("x == TRUE", True),
        ("x == False", False),
        ("x == NULL", None),
        ('x == ""', ""),
        ("x == 'it''s'", "it's"),
        ('x == "say ""hi"""', 'say "hi"'),
        ('x == "it\'s"', "it's"),
        ("x == CustVendorBlocked::All", "All"),
        ("x == 31\\12\\2026", "2026-12-31"),
        ("x == 1\\2\\2026", "2026-02-01"),
        ("x == 2026-12-31T10:00:00Z", "2026-12-31T10:00:00Z"),
    ],
)
def test_it_reads_finops_literals(text: str, value: object) -> None:
    assert compared(parse_finops(text)) == ("x", "==", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x eq 'it''s'", "it's"),
        ("x eq ''", ""),
        ("x EQ True", True),
        ("x eq 2026-12-31", "2026-12-31"),
        ("x eq 10:30:00", "10:30:00"),
        ("x eq 2026-12-31t10:00:00.5+02:00", "2026-12-31T10:00:00.5+02:00"),
        (
            "x eq 0F8FAD5B-d9cb-469f-a165-70867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950e",
        ),
    ],
)
def test_it_reads_odata_literals(text: str, value: object) -> None:
    assert compared(parse_odata(text)) == ("x", "==", value)


def test_a_value_may_stand_on_the_left() -> None:
    assert compared(parse_finops("5 < x")) == ("x", ">", Decimal(5))
    assert compared(parse_finops("5 >= x")) == ("x", "<=", Decimal(5))
    assert compared(parse_odata("'a' eq x")) == ("x", "==", "a")
    assert compared(parse_odata("null ne x")) == ("x", "!=", None)


def test_and_binds_tighter_than_or() -> None:
    for tree in (
        parse_finops("a == 1 || b == 2 && c == 3"),
        parse_odata("a eq 1 or b eq 2 and c eq 3"),
    ):
        assert isinstance(tree, Or)
        assert isinstance(tree.operands[1], And)


def test_like_takes_wildcards_and_their_escapes() -> None:
    any_text, any_character = Wildcard.ANY_TEXT, Wildcard.ANY_CHARACTER
    assert parse_finops('x like "A*"') == Like(ColumnRef("x"), ("A", any_text))
    assert parse_finops('x like "**a?"') == Like(
        ColumnRef("x"), (any_text, "a", any_character)
    )
    assert parse_finops(r'x like "\*a\?b\\c\d*"') == Like(
        ColumnRef("x"), (r"*a?b\c\d", any_text)
    )


def test_a_pattern_without_wildcards_is_a_comparison() -> None:
    assert compared(parse_finops(r'x like "\*a\?b"')) == ("x", "==", "*a?b")
    assert compared(parse_odata("matchesPattern(x,'^a$')")) == ("x", "==", "a")
    built = Like(ColumnRef("PartyType"), ("a",))
    assert compared(bind_types(built, CUSTOMERS)) == ("PartyType", "==", "a")


@pytest.mark.parametrize(
    ("odata", "finops"),
    [
        ("startswith(x,'A*')", r'x like "A\**"'),
        ("endswith(x,'b')", 'x like "*b"'),
        ("contains(x,'b')", 'x like "*b*"'),
        ("contains(x,'')", 'x like "*"'),
        ("matchesPattern(x,'^A[\\s\\S]*b[\\s\\S]$')", 'x like "A*b?"'),
    ],
)
def test_functions_and_like_are_the_same_node(odata: str, finops: str) -> None:
    tree = parse_odata(odata)
    assert parse_finops(finops) == tree
    assert to_odata(tree) == odata
    assert to_finops(tree) == finops


def test_not_stands_before_a_function() -> None:
    tree = parse_odata("not contains(x,'a')")
    assert isinstance(tree, Not)
    assert isinstance(tree.operand, Like)


@pytest.mark.parametrize(
    ("finops", "odata"),
    [
        ("Priority in (1, 2, null)", "Priority in (1,2,null)"),
        ("Priority NOT IN (1, 2)", "Priority not in (1,2)"),
        ("Priority not in (1, 2)", "not (Priority in (1,2))"),
        ('PartyType not like "A*"', "not startswith(PartyType,'A')"),
        ('!(PartyType like "A*")', "not startswith(PartyType, 'A')"),
    ],
)
def test_lists_and_negations_are_the_same_in_both_dialects(
    finops: str, odata: str
) -> None:
    tree = parse_finops(finops)
    assert parse_odata(odata) == tree
    assert parse_finops(to_finops(tree)) == tree
    assert parse_odata(to_odata(tree)) == tree


def test_a_list_says_what_it_holds() -> None:
    for value in ("1", "2", "3", None):
        within = parse_finops("Priority in (1, 2, null)")
        outside = parse_finops("Priority not in (1, 2)")
        assert matches(within, Priority=value) is (value != "3")
        assert matches(outside, Priority=value) is (value in ("3", None))


def test_now_is_the_moment_at_which_a_row_is_judged() -> None:
    past, future = "2020-01-01 00:00:00+00", "2999-01-01 00:00:00+00"
    for tree in (parse_finops("Changed <= now()"), parse_odata("Changed le NOW ( )")):
        assert matches(tree, Changed=past)
        assert not matches(tree, Changed=future)
        assert not matches(tree, Changed=None)
        assert to_finops(tree) == "Changed <= now()"
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    turning = compile_predicate(
        parse_finops("Changed < now()"), ("Changed",), CUSTOMERS
    )
    row = (soon.strftime("%Y-%m-%d %H:%M:%S.%f+00"),)
    assert not turning(row)
    wait_until(lambda: turning(row), timeout=5)


def test_a_blank_filter_is_none() -> None:
    assert parse_filter(Side.FINOPS, " \n") is None
    assert parse_filter(Side.FINOPS, "x == 1") == parse_filter(Side.DATAVERSE, "x eq 1")


def test_it_lists_columns_in_order_of_first_use() -> None:
    assert columns(parse_finops("b == 1 && !(a == 2 || b == 3)")) == ("b", "a")


def test_it_names_empty_text_tests_that_miss_nulls() -> None:
    assert empty_text_tests(parse_finops('x == "" && y != ""')) == ("x", "y")
    assert empty_text_tests(parse_finops('x == "" || x == null')) == ()


def test_it_names_tests_for_no_date_that_miss_nulls() -> None:
    text = "x == 1\\1\\1900 && y in (1900-01-01) && z > 1\\1\\1900 && w != 2\\1\\1900"
    assert no_date_tests(parse_finops(text)) == ("x", "y")
    assert no_date_tests(bind_types(parse_finops("Changed == 1\\1\\1900"), CUSTOMERS))
    assert no_date_tests(parse_finops("x == null || x == 1\\1\\1900")) == ()


def test_columns_take_the_spelling_of_the_schema() -> None:
    bound = bind_types(parse_finops("partytype == 'x' && PRIORITY == 1"), CUSTOMERS)
    assert columns(bound) == ("PartyType", "Priority")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PartyType == DirPartyType::Organization", "Organization"),
        ("CreditLimit == 1.50", Decimal("1.5")),
        ("Priority == 3.0", Decimal(3)),
        ("Priority == '3'", Decimal(3)),
        ("CreditLimit > '1.5'", Decimal("1.5")),
        ("Priority == NoYes::Yes", Decimal(1)),
        ("OnHold == NoYes::Yes", True),
        ("OnHold == noyes::no", False),
        ("OnHold == 1", True),
        ("OnHold != 0", False),
        ("Blocked == 1", "Yes"),
        ("Blocked == false", "No"),
        ("Blocked == NoYes::yes", "Yes"),
        ("Opened == 01\\01\\1900", "1900-01-01"),
        ("Opened == 31\\12\\2026", "2026-12-31"),
        ('Opened == "2026-12-31"', "2026-12-31"),
        ("Opened == 2026-12-31T00:00:00Z", "2026-12-31"),
        ("Local == 2026-12-31", "2026-12-31 00:00:00"),
        ("Local == 2026-12-31T10:00:00.500", "2026-12-31 10:00:00.5"),
        ("Changed == 2026-12-31T23:30:00-01:00", "2027-01-01 00:30:00+00"),
        ("Closes == 10:30", "10:30:00"),
        ('Id == "0F8FAD5B-D9CB-469F-A165-70867728950E"', None),
        ("Kind == PriceKind::Net", "Net"),
        ('Kind == "Gross"', "Gross"),
        ('Kind == "gross"', "Gross"),
        ("Photo == null", None),
        ("Zoned != null", None),
    ],
)
def test_literals_become_canonical(text: str, value: object) -> None:
    bound = bind_types(parse_finops(text), CUSTOMERS)
    expected = value
    if text.startswith("Id"):
        expected = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert isinstance(bound, Comparison)
    assert bound.literal.value == expected
    assert bind_types(bound, CUSTOMERS) == bound


@pytest.mark.parametrize(
    ("text", "for_null", "for_empty", "for_value"),
    [
        ("PartyType == null", True, False, False),
        ("PartyType != null", False, True, True),
        ('PartyType == ""', False, True, False),
        ('PartyType != ""', True, False, True),
        ('PartyType == "x"', False, False, True),
        ('PartyType != "x"', True, True, False),
        ('PartyType < "x"', False, True, False),
        ('!(PartyType < "x")', True, False, True),
        ('PartyType >= "x"', False, False, True),
        ('PartyType like "*"', False, True, True),
        ('!(PartyType like "x*")', True, True, False),
        ('PartyType like ""', False, True, False),
    ],
)
def test_null_is_neither_empty_nor_unknown(
    text: str, for_null: bool, for_empty: bool, for_value: bool
) -> None:
    tree = parse_finops(text)
    assert matches(tree, PartyType=None) is for_null
    assert matches(tree, PartyType="") is for_empty
    assert matches(tree, PartyType="x") is for_value


def test_text_compares_by_exact_characters() -> None:
    assert not matches(parse_finops('PartyType == "ORG"'), PartyType="Org")
    assert matches(parse_finops('PartyType < "a"'), PartyType="Z")


def test_numbers_compare_as_numbers() -> None:
    assert matches(parse_finops("CreditLimit == 1.5"), CreditLimit="1.500000")
    assert matches(parse_finops("CreditLimit > 9"), CreditLimit="10.000000")
    assert matches(parse_finops("Priority < 2.5"), Priority="2")
    assert matches(parse_finops("Ratio == 0.1"), Ratio="0.1")


def test_many_wildcards_take_no_longer_on_a_long_text() -> None:
    tree = parse_finops('PartyType like "' + "*a" * 30 + '*b"')
    assert not matches(tree, PartyType="a" * 20_000)
    assert matches(tree, PartyType="a" * 20_000 + "b")
    tree = parse_finops('PartyType like "?b*c?*c"')
    assert matches(tree, PartyType="abcxcxc")
    assert not matches(tree, PartyType="abcxc"[:3])


def test_long_chains_of_alternatives_work() -> None:
    tree = parse_finops(" || ".join(f"Priority == {n}" for n in range(3000)))
    assert matches(tree, Priority="2999")
    assert not matches(tree, Priority="3000")
    assert len(to_sql(bind_types(tree, CUSTOMERS)).parts) > 3000


def test_the_layout_of_rows_is_free_but_must_have_the_column() -> None:
    tree = parse_finops("Priority == 1 && PartyType == 'x'")
    test = compile_predicate(tree, ("partytype", "other.path", "Priority"), CUSTOMERS)
    assert test(("x", None, "1"))
    with pytest.raises(FilterColumnError, match="rows at hand lack the column"):
        compile_predicate(tree, ("PartyType",), CUSTOMERS)


def test_sql_comes_as_parts_that_hold_values_apart() -> None:
    bound = bind_types(parse_finops("PartyType != 'x' && Priority == 3"), CUSTOMERS)
    assert to_sql(bound).parts == (
        Raw("(("),
        Identifier("PartyType"),
        Raw(" IS NULL OR CAST("),
        Identifier("PartyType"),
        Raw(' AS text) COLLATE "C" <> '),
        Value("x", "text"),
        Raw(") AND ("),
        Identifier("Priority"),
        Raw(" IS NOT NULL AND "),
        Identifier("Priority"),
        Raw(" = "),
        Value("3", "bigint"),
        Raw("))"),
    )


def test_sql_of_an_unbound_filter_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not bound"):
        to_sql(parse_finops("x == 1"))


def test_odata_says_the_same_in_its_own_words() -> None:
    tree = parse_finops(
        '(PartyType == "it\'s" || OnHold == NoYes::Yes) && Opened >= 31\\12\\2026'
        ' && !(Id == "0f8fad5b-d9cb-469f-a165-70867728950e")'
        " && Changed < 2026-12-31 && Local != 2026-12-31T10:00:00"
    )
    assert to_odata(bind_types(tree, CUSTOMERS)) == (
        "(PartyType eq 'it''s' or OnHold eq true) and Opened ge 2026-12-31"
        " and not (Id eq 0f8fad5b-d9cb-469f-a165-70867728950e)"
        " and Changed lt 2026-12-31T00:00:00Z and Local ne 2026-12-31T10:00:00Z"
    )
