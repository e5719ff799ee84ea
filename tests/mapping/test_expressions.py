"""The expression language: what it computes, and what it refuses and where."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import RecordError
from syncengine.mapping.expressions import (
    BoundExpression,
    ExpressionError,
    bind_expression,
    parse_expression,
)
from syncengine.mapping.schema import ColumnType, TypeFamily
from tests.mapping.sample import (
    BOOLEAN,
    DATE,
    INTEGER,
    NUMERIC,
    TIMESTAMP,
    UUID,
    char,
    numeric,
    text,
)

COLUMNS = {
    "d": numeric(20, 2),
    "q": NUMERIC,
    "u": NUMERIC,
    "c": NUMERIC,
    "i": INTEGER,
    "name": text(),
    "first": text(20),
    "code": char(5),
    "flag": BOOLEAN,
    "day": DATE,
    "until": DATE,
    "at": TIMESTAMP,
    "id": UUID,
    "group.code": text(),
    "from": text(),
    "Unit price": NUMERIC,
}


def bound_to_columns(expression: str) -> BoundExpression:
    parsed = parse_expression(expression)
    return bind_expression(parsed, {path: COLUMNS[path] for path in parsed.paths})


def value(expression: str, **given: str | None) -> str | None:
    """The result of an expression; columns that are not given are null."""
    bound = bound_to_columns(expression)
    return bound(tuple(given.get(path.replace(".", "_")) for path in bound.paths))


def refused(expression: str) -> tuple[int, str]:
    """Where (from 1) an expression is refused, and why."""
    with pytest.raises(ExpressionError) as caught:
        bound_to_columns(expression)
    assert caught.value.code == "expression_invalid"
    place, _, message = caught.value.message.partition(": ")
    return int(place.removeprefix("Expression, character ")), message


def failure(expression: str, **given: str | None) -> str:
    """The code of a record that an expression fails on."""
    with pytest.raises(RecordError) as caught:
        value(expression, **given)
    return caught.value.code


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("concat(first, ' ', name)", "Ada Lovelace"),
        ("concat(name, 1.50, flag, day)", "Lovelace1.50true2026-03-01"),
        ("trim(concat('  ', name, ' '))", "Lovelace"),
        ("upper(first)", "ADA"),
        ("lower(first)", "ada"),
        ("left(name, 4)", "Love"),
        ("right(name, 4)", "lace"),
        ("right(name, 0)", ""),
        ("left(name, 99)", "Lovelace"),
        ("substring(name, 5, 2)", "la"),
        ("substring(name, 5)", "lace"),
        ("replace(name, 'love', '')", "Lovelace"),
        ("replace(name, 'Love', '')", "lace"),
        ("length(name)", "8"),
        ("coalesce(code, name)", "Lovelace"),
        ("if(flag, 'yes', 'no')", "yes"),
        ("IF(i == 2 and not flag, 'a', 'b')", "b"),
        ("if(i > 1 or flag, i, 0)", "2"),
        ("text(i) == '2'", "t"),
        ("number('12.50') + i", "14.50"),
        ("abs(-i)", "2"),
        ("i * (2 + 3) - 1 / 4", "9.75"),
        ("+i", "2"),
        ("1 < i <= 2", "t"),
        ("day < until", "t"),
        ("if(flag, day, until)", "2026-03-01"),
        ("is_blank(code)", "t"),
        ("is_blank(name)", "f"),
        ('concat(name, \'it\'\'s "so"\', "x""y")', 'Lovelaceit\'s "so"x"y'),
        ("concat(name, '\\n')", "Lovelace\\n"),
        ("concat(from, group.code)", "hereG1"),
        ("concat(column('from'), column(\"group.code\"))", "hereG1"),
        ("column('Unit price') * 2", "5.0"),
        ("concat(\n  first,\n  name\n)", "AdaLovelace"),
        ("flag", "t"),
        ("id", "00000000-0000-0000-0000-00000000000a"),
    ],
)
def test_it_computes(expression: str, expected: str) -> None:
    record = {
        "first": "Ada",
        "name": "Lovelace",
        "i": "2",
        "flag": "t",
        "day": "2026-03-01",
        "until": "2026-04-01",
        "id": "00000000-0000-0000-0000-00000000000a",
        "from": "here",
        "group_code": "G1",
        "Unit price": "2.5",
    }
    assert value(expression, **record) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("concat(name, '-', first)", "-"),
        ("name", None),
        ("upper(name)", None),
        ("left(name, i)", None),
        ("q + 1", None),
        ("-q", None),
        ("round(q)", None),
        ("q == null", "t"),
        ("q != null", "f"),
        ("q == 0", "f"),
        ("q < 1", "f"),
        ("not (q < 1)", "t"),
        ("flag and i == 1", None),
        ("if(flag, 1, 2) + 0 * coalesce(q, 1)", "2"),
        ("coalesce(q, null, 5)", "5"),
        ("text(q)", None),
        ("number(name)", None),
        ("if(is_blank(name), null, 1)", None),
    ],
)
def test_a_null_means_what_the_language_says(
    expression: str, expected: str | None
) -> None:
    assert value(expression) == expected


def test_padding_of_fixed_length_text_is_no_part_of_it() -> None:
    assert value("concat(code, '|')", code="AB   ") == "AB|"


def test_a_discount_is_split_and_put_together_without_loss() -> None:
    """Concepts 15: q=3, D=10.00 gives u=3.33, c=-0.01, and back 10.00."""
    assert value("round(d / q, 2)", d="10.00", q="3") == "3.33"
    assert value("q * round(d / q, 2) - d", d="10.00", q="3") == "-0.01"
    assert value("q * u - c", q="3", u="3.33", c="-0.01") == "10.00"


MONEY = st.decimals("-99999999", "99999999", places=2)
QUANTITY = st.decimals("0.0001", "999999", places=4)


@given(MONEY, QUANTITY)
def test_the_residual_conserves_every_discount(discount: Decimal, q: Decimal) -> None:
    record = {"d": f"{discount:f}", "q": f"{q:f}"}
    unit = value("round(d / q, 2)", **record)
    rest = value("q * round(d / q, 2) - d", **record)
    back = value("q * u - c", q=record["q"], u=unit, c=rest)
    assert back is not None
    assert Decimal(back) == discount


@given(st.decimals("-1000", "1000", places=6), st.integers(-2, 6))
def test_rounding_is_half_even(number: Decimal, places: int) -> None:
    found = value(f"round(q, {places})", q=f"{number:f}")
    expected = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    assert found is not None
    assert Decimal(found) == expected


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("", 1),
        ("name first", 6),
        ("i ** 2", 3),
        ("i // 2", 3),
        ("10**10**10 * i", 3),
        ("(i", 1),
        ("i)", 2),
        ("i = 1", 3),
        ("i <> 1", 3),
        ("flag && flag", 6),
        ("i + ", 4),
        ("  i + ", 6),
        ("__import__('os')", 1),
        ("name.upper()", 1),
        ("concat(name, eval('1'))", 14),
        ("'never closed", 1),
        ("1e9 * i", 1),
        ("0x10 * i", 1),
        ("name, first", 1),
        ("'a' 'b'", 5),
        ("lambda: name", 7),
        ("[name]", 1),
        ("name[0]", 5),
        ("name if flag else first", 6),
        ("-" * 300 + "i", 62),
        ("+".join(["i"] * 190), 1),
        ("i +" * 500 + "i", 601),
        ("x" * 3_000, 2_001),
        ("5", 1),
        ("left(name)", 1),
        ("left(name, 1, 2)", 1),
        ("coalesce(name)", 1),
        ("substring(name)", 1),
        ("if(flag, 1)", 1),
        ("if(i, 1, 2)", 4),
        ("if(flag, 1, 'x')", 13),
        ("coalesce(i, name)", 13),
        ("name + first", 1),
        ("i + name", 5),
        ("i * flag", 5),
        ("-name", 2),
        ("upper(i)", 7),
        ("round(name)", 7),
        ("day + 1", 1),
        ("day == 'x'", 1),
        ("not name", 5),
        ("i and flag", 1),
        ("flag < flag", 1),
        ("id < id", 1),
        ("column(name)", 1),
        ("column('a', 'b')", 1),
        (f"i + {'9' * 101}", 5),
        ("concat(*name)", 8),
        ("name;first", 5),
        ("name # first", 6),
        ("größe", 3),
    ],
)
def test_what_is_no_expression_is_refused_at_its_place(
    expression: str, place: int
) -> None:
    found, message = refused(expression)
    assert (found, message.endswith(".")) == (place, True), message


def test_a_refusal_shows_the_place_and_the_cure() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression("concat(a,\n b = 1)")
    assert caught.value.details["place"] == " b = 1)\n   ^"
    assert "Write == to compare." in caught.value.message
    assert "join texts with concat()" in refused("name + first")[1]


def test_names_are_column_paths_and_nothing_else() -> None:
    parsed = parse_expression("concat(name.__class__, null.x, and.y, NULL)")
    assert parsed.paths == ("name.__class__", "null.x", "and.y")


@pytest.mark.parametrize(
    ("expression", "record", "code"),
    [
        ("d / q", {"d": "1", "q": "0"}, "conversion_failed"),
        ("number(name)", {"name": "x"}, "conversion_failed"),
        ("q * q", {"q": "1" * 60}, "value_out_of_range"),
        ("q + 1", {"q": "1" * 101}, "value_out_of_range"),
        ("q + 1", {"q": "NaN"}, "conversion_failed"),
        ("round(q, 31)", {"q": "1"}, "value_out_of_range"),
        ("round(q, 0.5)", {"q": "1"}, "value_out_of_range"),
        ("left(name, -i)", {"name": "x", "i": "1"}, "value_out_of_range"),
        ("substring(name, 0)", {"name": "x"}, "value_out_of_range"),
        (
            "replace(name, 'x', first)",
            {"name": "x" * 10_000, "first": "y" * 1_000},
            "value_out_of_range",
        ),
        ("concat(name, name)", {"name": "x" * 600_000}, "value_out_of_range"),
    ],
)
def test_a_record_fails_with_a_code(
    expression: str, record: dict[str, str], code: str
) -> None:
    assert failure(expression, **record) == code


def test_what_is_not_needed_is_not_computed() -> None:
    assert value("if(q == 0, null, d / q)", d="1", q="0") is None


def test_the_type_of_the_result_is_known() -> None:
    def type_of(expression: str) -> ColumnType:
        return bound_to_columns(expression).type

    assert type_of("q + 1").family is TypeFamily.DECIMAL
    assert type_of("i == 1").family is TypeFamily.BOOLEAN
    assert type_of("coalesce(null, code)").family is TypeFamily.TEXT
    assert type_of("coalesce(at, null)") == TIMESTAMP


def test_threads_do_not_mix_their_rows() -> None:
    parsed = parse_expression("concat(name, ' ', first)")
    bound = bind_expression(parsed, COLUMNS)
    wrong: list[str | None] = []

    def run(word: str) -> None:
        for _ in range(2_000):
            found = bound((word, word))
            if found != f"{word} {word}":
                wrong.append(found)

    threads = [Thread(target=run, args=(word,)) for word in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused_at_a_place(text: str) -> None:
    try:
        parsed = parse_expression(text)
    except ExpressionError as error:
        position = error.position
    else:
        assert parsed.paths
        return
    assert 0 <= position <= len(text)


PARTS = ["name", "i", "flag", "d", "'x'", "1", "null", "(", ")", ",", "+", "*", "=="]
PARTS += ["and", "not", "if(", "concat(", "round(", "coalesce(", "left(", "is_blank("]


@given(st.lists(st.sampled_from(PARTS), max_size=9).map(" ".join))
def test_whatever_is_accepted_gives_a_value_or_a_code(expression: str) -> None:
    try:
        parsed = parse_expression(expression)
        bound = bind_expression(parsed, COLUMNS)
    except ExpressionError:
        return
    record = {"name": "Ada", "i": "2", "flag": "t", "d": "10.00"}
    try:
        bound(tuple(record[path] for path in parsed.paths))
    except RecordError as error:
        code = error.code
    else:
        return
    assert code in ("conversion_failed", "value_out_of_range")
