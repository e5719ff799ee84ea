from __future__ import annotations

from decimal import Decimal

import pytest

from syncengine.mapping.filters import (
    Expression,
    FilterColumnError,
    FilterError,
    FilterSyntaxError,
    bind_types,
    columns,
    compile_predicate,
    empty_text_tests,
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
    Comparator,
    Comparison,
    Like,
    Literal,
    LiteralKind,
    Not,
    Or,
    Wildcard,
)
from syncengine.mapping.filters.sql import Identifier, Raw, Value
from syncengine.mapping.model import Side
from syncengine.mapping.schema import Column, ColumnType, TableSchema, TypeFamily

CUSTOMERS = TableSchema(
    name="customersv3",
    columns=(
        Column("PartyType", ColumnType(TypeFamily.TEXT, "text")),
        Column("CreditLimit", ColumnType(TypeFamily.DECIMAL, "numeric(32,6)")),
        Column("Priority", ColumnType(TypeFamily.INTEGER, "integer", bits=32)),
        Column("Ratio", ColumnType(TypeFamily.FLOAT, "real", bits=32)),
        Column("OnHold", ColumnType(TypeFamily.BOOLEAN, "boolean")),
        Column("Opened", ColumnType(TypeFamily.DATE, "date")),
        Column("Local", ColumnType(TypeFamily.TIMESTAMP, "timestamp")),
        Column("Changed", ColumnType(TypeFamily.TIMESTAMPTZ, "timestamptz")),
        Column("Closes", ColumnType(TypeFamily.TIME, "time without time zone")),
        Column("Zoned", ColumnType(TypeFamily.TIME, "time with time zone")),
        Column("Id", ColumnType(TypeFamily.UUID, "uuid")),
        Column("Kind", ColumnType(TypeFamily.ENUM, "kind", labels=("Net", "Gross"))),
        Column("Photo", ColumnType(TypeFamily.BINARY, "bytea")),
    ),
)
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
    assert parse_finops(r'x like "\*a\?b\\c\d"') == Like(ColumnRef("x"), (r"*a?b\c\d",))


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


def test_a_list_in_finops_becomes_alternatives() -> None:
    tree = parse_odata("Priority in (1,2,null)")
    again = parse_finops(to_finops(tree))
    for value in ("1", "2", "3", None):
        expected = value in ("1", "2", None)
        assert matches(tree, Priority=value) is expected
        assert matches(again, Priority=value) is expected


def test_a_blank_filter_is_none() -> None:
    assert parse_filter(Side.FINOPS, " \n") is None
    assert parse_filter(Side.FINOPS, "x == 1") == parse_filter(Side.DATAVERSE, "x eq 1")


def test_it_lists_columns_in_order_of_first_use() -> None:
    assert columns(parse_finops("b == 1 && !(a == 2 || b == 3)")) == ("b", "a")


def test_it_names_empty_text_tests_that_miss_nulls() -> None:
    assert empty_text_tests(parse_finops('x == "" && y != ""')) == ("x", "y")
    assert empty_text_tests(parse_finops('x == "" || x == null')) == ()


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, 'found the end of the filter, expected a column, "(" or !.'),
        ("a = 1", 2, 'found "=", expected a column, a value or an operator; write ==.'),
        ("a <> 1", 2, "write !=."),
        ("a eq 1", 2, "expected a comparison (==, !=, <, <=, >, >=, like); write ==."),
        ("a ==", 4, "found the end of the filter, expected a value."),
        ("a == b", 5, "a text is written in quotes."),
        ("(a == 1", 7, 'found the end of the filter, expected &&, || or ")".'),
        ("a == 1)", 6, 'found ")", expected &&, || or the end of the filter.'),
        ("a == 1 and b == 2", 7, "write &&."),
        ("a == 1 & b == 2", 7, "write &&."),
        ("a == 'x", 5, "never ends; expected another '"),
        ("!a == 1", 1, 'expected "(" after "!"'),
        ("1 == 2", 5, 'found "2", expected a column'),
        ("a < null", 4, "null can be compared with == and != only."),
        ("a like 5", 7, 'found "5", expected a text in quotes.'),
        ("a == 12ab", 5, 'found "12ab", expected'),
        ("a == 1 @", 7, 'found "@", expected'),
        ("contains(a, 'x')", 0, 'write column like "*text*".'),
        ("a == " + "1" * 500, 5, "is too long; expected at most 400 digits."),
        ("a == 1e99999999999999999999", 5, "is too long"),
        ("(" * 200 + "a == 1" + ")" * 200, 100, "nested too deeply"),
        ("a == '\0'", 6, "found U+0000"),
        ("a == '\ud800'", 6, "found U+D800"),
        ("a == 1 || " * 20_000, 100_000, "at most 100000 characters."),
    ],
)
def test_a_finops_mistake_is_shown_at_its_place(
    text: str, position: int, message: str
) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_finops(text)
    assert caught.value.code == "filter_syntax"
    assert caught.value.position == position
    assert message in caught.value.message
    assert caught.value.message.startswith(f"Filter, character {position + 1}: ")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a == 1", 2, "write eq."),
        ("a eq 1 && b eq 2", 7, "write and."),
        ('a eq "x"', 5, "found a double quote, expected a text in single quotes"),
        ("a eq 'x", 5, "never ends; expected another '"),
        ("not a eq 1", 4, 'put what "not" applies to in parentheses.'),
        ("length(a) eq 1", 0, "found the function length, expected one of"),
        ("startswith(a)", 12, 'found ")", expected ",".'),
        ("startswith(a,5)", 13, 'found "5", expected a text in quotes.'),
        ("a in 5", 5, 'found "5", expected "(".'),
        ("a in ()", 6, 'found ")", expected a value.'),
        ("a in (1 2)", 8, 'found "2", expected "," or ")".'),
        ("a like 'x'", 2, "write contains(column,'text')."),
        ("matchesPattern(a,'x|y')", 17, "expected plain text with . and .*"),
        ("matchesPattern(a,'^x|y$')", 17, "expected plain text with . and .*"),
        ("a gt null", 5, "null can be compared with eq and ne only."),
    ],
)
def test_an_odata_mistake_is_shown_at_its_place(
    text: str, position: int, message: str
) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_odata(text)
    assert caught.value.position == position
    assert message in caught.value.message


def test_a_mistake_carries_its_line_with_a_caret() -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_finops('(a == 1) &&\n\t(b = "x")')
    assert caught.value.details["place"] == '\t(b = "x")\n\t   ^'


@pytest.mark.parametrize(
    ("side", "text", "position"),
    [
        (Side.FINOPS, "a == 1 && party.name == 2", 10),
        (Side.DATAVERSE, "primarycontactid/fullname eq 'x'", 0),
        (Side.DATAVERSE, "contains(parent.name,'x')", 9),
    ],
)
def test_a_nested_lookup_is_refused(side: Side, text: str, position: int) -> None:
    with pytest.raises(FilterColumnError, match="nested lookups are not") as caught:
        parse_filter(side, text)
    assert caught.value.code == "filter_column"
    assert caught.value.position == position
    assert "^" in caught.value.details["place"]


def test_columns_take_the_spelling_of_the_schema() -> None:
    bound = bind_types(parse_finops("partytype == 'x' && PRIORITY == 1"), CUSTOMERS)
    assert columns(bound) == ("PartyType", "Priority")


def test_an_unknown_column_is_named_with_a_suggestion() -> None:
    text = "Priority == 1 && PartyTyp == 'x'"
    with pytest.raises(FilterColumnError) as caught:
        bind_types(parse_finops(text), CUSTOMERS, text)
    assert caught.value.code == "filter_column"
    assert caught.value.position == 17
    assert caught.value.message.endswith(
        "the table customersv3 has no column PartyTyp; did you mean PartyType?"
    )
    assert caught.value.details["place"] == f"{text}\n{' ' * 17}^"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PartyType == DirPartyType::Organization", "Organization"),
        ("CreditLimit == 1.50", Decimal("1.5")),
        ("Priority == 3.0", Decimal(3)),
        ("OnHold == NoYes::Yes", True),
        ("OnHold == noyes::no", False),
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
    ("text", "position", "message"),
    [
        ('Priority == "5"', 12, 'the text "5" for column Priority (integer), expected'),
        ('Priority == "5"', 12, "expected a number; leave the quotes out."),
        ("Priority == Rank::High", 12, "write the number that stands for the value."),
        ("Priority == true", 12, "expected a number."),
        ("PartyType == 5", 13, "expected a text; put the value in quotes."),
        ("PartyType == true", 13, "found true for column PartyType (text)"),
        ("PartyType == 2026-01-01", 13, "put the value in quotes."),
        ('OnHold == "true"', 10, "expected true or false, without quotes."),
        ("OnHold == 1", 10, "expected true or false, without quotes."),
        ("OnHold == Other::Yes", 10, "expected true or false"),
        ("OnHold < true", 0, "can only be compared for equal or not equal"),
        ("Kind == PriceKind::Nett", 8, "found PriceKind::Nett for column Kind"),
        ("Kind == PriceKind::Nett", 8, "expected one of Net, Gross."),
        ('Kind > "Net"', 0, "can only be compared for equal or not equal"),
        ("Opened == 5", 10, "expected a time such as 2026-03-31."),
        ('Opened == "soon"', 10, "expected a date such as 2026-03-31"),
        ('Opened == "2026-02-30"', 10, "that the calendar has."),
        ("Opened == 2026-01-01T10:00:00", 10, "a date without a time of day."),
        ("Changed == 0001-01-01T00:00:00+01:00", 11, "that the calendar has."),
        ("Changed == 2026-01-01T10:00:00.1234567Z", 11, "at most six decimals"),
        ('Closes == "25:00"', 10, "a time of day such as 10:30:00."),
        ('Closes == "10:00:61"', 10, "a time of day such as 10:30:00."),
        ("Zoned == 10:00", 0, "can only be compared with null."),
        ('Id == "abc"', 6, "expected a GUID such as"),
        ('Photo == "x"', 0, "can only be compared with null."),
        ('Priority like "5*"', 0, "has no patterns, expected a text column."),
        ("Ratio == 1e39", 9, "within the range of the column."),
        ("Ratio == 1e-60", 9, "within the range of the column."),
    ],
)
def test_an_unfit_literal_is_refused_with_its_cure(
    text: str, position: int, message: str
) -> None:
    with pytest.raises(FilterColumnError) as caught:
        bind_types(parse_finops(text), CUSTOMERS, text)
    assert caught.value.code == "filter_type"
    assert caught.value.position == position
    assert message in caught.value.message
    assert "^" in caught.value.details["place"]


def test_an_order_with_null_is_refused_in_a_built_tree_too() -> None:
    null = Literal(LiteralKind.NULL, None)
    built = Comparison(ColumnRef("Priority"), Comparator.LT, null)
    with pytest.raises(FilterColumnError, match="equal or not equal"):
        bind_types(built, CUSTOMERS)


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


def test_every_failure_is_one_family() -> None:
    assert issubclass(FilterSyntaxError, FilterError)
    assert issubclass(FilterColumnError, FilterError)
