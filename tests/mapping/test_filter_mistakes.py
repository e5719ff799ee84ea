"""What is wrong with a filter is shown at its place, with the cure."""

from __future__ import annotations

import pytest

from syncengine.mapping.filters import (
    FilterColumnError,
    FilterError,
    FilterSyntaxError,
    bind_types,
    parse_filter,
    parse_finops,
    parse_odata,
)
from syncengine.mapping.filters.expression import (
    ColumnRef,
    Comparator,
    Comparison,
    Literal,
    LiteralKind,
)
from syncengine.mapping.model import Side
from syncengine.mapping.schema import Column, ColumnType, TableSchema, TypeFamily
from tests.mapping.filter_trees import CUSTOMERS


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, 'found the end of the filter, expected a column, "(" or !.'),
        ("a = 1", 2, 'found "=", expected a column, a value or an operator; write ==.'),
        ("a <> 1", 2, "write !=."),
        ("a eq 1", 2, "comparison (==, !=, <, <=, >, >=, like, in); write ==."),
        ("a ==", 4, "found the end of the filter, expected a value."),
        ("a == b", 5, "a text is written in quotes."),
        ("(a == 1", 7, 'expected &&, || or ")"; the "(" at character 1 is still open.'),
        ("(a == 1) && ((b\n== 2)", 21, '"(" at line 1, character 13 is still open.'),
        ("a == 1 && ", 9, "found the end of the filter, expected a column"),
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
        ("a not == 5", 2, 'found "not", expected a comparison'),
        ("a not in 5", 9, "expected a list of values in parentheses"),
        ("a in 5", 5, 'found "5", expected a list of values in parentheses'),
        ('a == "A".."C"', 8, 'found "..", expected'),
        ('a == "A".."C"', 8, 'write both ends as comparisons, such as (Code >= "A")'),
        ("a == 1..5", 6, "write both ends as comparisons"),
        ("a == 31.12.2026", 5, 'found "31.12.2026", expected a value; a date is'),
        ("a == 2026\\12\\31", 9, "write a date as 31\\12\\2026 (day\\month\\year)"),
        ("a == \x07", 5, "found the character U+0007, expected"),
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
    if "\n" not in text:
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
        ("a in 5", 5, 'found "5", expected a list of values in parentheses'),
        ("a not like 'x'", 6, 'found "like", expected in; write contains'),
        (
            "a le 03/31/2026",
            5,
            'found "03/31/2026", expected a value; a date is written',
        ),
        ("a eq datetime'2026-03-31'", 5, "write the date alone, such as 2026-12-31"),
        ("a eq guid'0f8fad5b'", 5, "write the GUID alone, without the word."),
        (
            "Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=['b'])",
            0,
            "a function that only Dataverse itself knows; write column in ('a','b').",
        ),
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
    for line_break in ("\n", "\r\n", "\r"):
        with pytest.raises(FilterSyntaxError) as caught:
            parse_finops(f'(a == 1) &&{line_break}\t(b = "x")\n')
        error = caught.value
        assert error.details["place"] == '\t(b = "x")\n\t   ^'
        assert (error.line, error.character) == (2, 5)
        assert error.message == f"Filter, line 2, character 5: {error.reason}"
        assert error.reason.startswith('found "=", expected')
        assert error.details["line"] == 2


def test_of_a_long_line_only_the_part_around_a_mistake_is_shown() -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_finops("(a == 1) && " * 50 + "(b = 2)" + " && (c == 3)" * 50)
    line, caret = caught.value.details["place"].split("\n")
    assert len(line) <= 80
    assert line.startswith("…")
    assert line.endswith("…")
    assert line[len(caret) - 1] == "="
    assert caught.value.character == 604


@pytest.mark.parametrize(
    ("side", "text", "position"),
    [
        (Side.FINOPS, "a == 1 && party.name == 2", 10),
        (Side.DATAVERSE, "primarycontactid/fullname eq 'x'", 0),
        (Side.DATAVERSE, "contains(parent.name,'x')", 9),
        (Side.DATAVERSE, "customer_orders/any(o:o/total gt 5)", 0),
    ],
)
def test_a_nested_lookup_is_refused(side: Side, text: str, position: int) -> None:
    with pytest.raises(FilterColumnError, match="nested lookups are not") as caught:
        parse_filter(side, text)
    assert caught.value.code == "filter_column"
    assert caught.value.position == position
    assert "^" in caught.value.details["place"]


def test_an_unknown_column_is_named_with_a_suggestion() -> None:
    text = "Priority == 1 && PartyTyp == 'x'"
    with pytest.raises(FilterColumnError) as caught:
        bind_types(parse_finops(text), CUSTOMERS, text)
    assert caught.value.code == "filter_column"
    assert caught.value.position == 17
    assert caught.value.message.endswith(
        "the table customersv3 has no column PartyTyp; did you mean PartyType?"
    )
    assert caught.value.details["suggestions"] == ["PartyType"]
    assert caught.value.details["place"] == f"{text}\n{' ' * 17}^"


def test_a_lookup_as_dataverse_queries_write_it_is_recognized() -> None:
    with pytest.raises(FilterColumnError, match="did you mean PartyType"):
        bind_types(parse_odata("_partytype_value ne null"), CUSTOMERS)


def test_an_unknown_label_is_named_with_a_suggestion() -> None:
    text = "Kind == PriceKind::Nett"
    with pytest.raises(FilterColumnError) as caught:
        bind_types(parse_finops(text), CUSTOMERS, text)
    assert caught.value.position == 8
    assert caught.value.reason == (
        "found PriceKind::Nett for column Kind (kind), expected one of Net, Gross;"
        " did you mean Net?"
    )
    assert caught.value.details["suggestions"] == ["Net"]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('Priority == "x"', 12, 'the text "x" for column Priority (integer), expected'),
        ('Priority == "5 "', 12, "expected a number."),
        ('Priority == ""', 12, "a column without a value is compared with null."),
        ('Opened == ""', 10, "a column without a value is compared with null."),
        ("PartyType < now()", 12, "now() is a date and time."),
        ("Closes < now()", 9, "now() is a date and time."),
        ("Opened in (now())", 11, "compare with now() on its own."),
        ("Priority == Rank::High", 12, "write the number that stands for the value."),
        ("Priority == true", 12, "expected a number."),
        ("PartyType == 5", 13, "expected a text; put the value in quotes."),
        ("PartyType == true", 13, "found true for column PartyType (text)"),
        ("PartyType == 2026-01-01", 13, "put the value in quotes."),
        ('OnHold == "true"', 10, "expected true or false, without quotes."),
        ("OnHold == 2", 10, "expected true or false, without quotes."),
        ("Kind == 1", 8, "expected one of Net, Gross; put the label in quotes."),
        ("OnHold == Other::Yes", 10, "expected true or false"),
        ("OnHold < true", 0, "can only be compared for equal or not equal"),
        ("Kind == PriceKind::Nett", 8, "found PriceKind::Nett for column Kind"),
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


def test_of_many_labels_some_are_listed() -> None:
    labels = tuple(f"label{number}" for number in range(41))
    column = Column("L", ColumnType(TypeFamily.ENUM, "many", labels=labels))
    table = TableSchema(name="t", columns=(column,))
    with pytest.raises(FilterColumnError, match="label11 and 29 more; did you mean l"):
        bind_types(parse_odata("L eq 'labl40'"), table)


def test_every_failure_is_one_family() -> None:
    assert issubclass(FilterSyntaxError, FilterError)
    assert issubclass(FilterColumnError, FilterError)
