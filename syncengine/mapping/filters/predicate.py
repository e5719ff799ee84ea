"""A filter as a Python function over rows of canonical text values."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from struct import pack, unpack
from typing import Any, TypeAlias

from syncengine.mapping.filters.binding import bind_types
from syncengine.mapping.filters.errors import FilterColumnError
from syncengine.mapping.filters.expression import (
    And,
    Comparator,
    Comparison,
    Expression,
    In,
    Literal,
    LiteralKind,
    Not,
    Or,
    Pattern,
    Wildcard,
)
from syncengine.mapping.schema import ColumnType, TableSchema, TypeFamily

Row: TypeAlias = "tuple[str | None, ...]"
Predicate: TypeAlias = Callable[[Row], bool]
Decode: TypeAlias = Callable[[str], Any]

_OPERATORS: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.EQ: eq,
    Comparator.NE: ne,
    Comparator.LT: lt,
    Comparator.LE: le,
    Comparator.GT: gt,
    Comparator.GE: ge,
}


def compile_predicate(
    expression: Expression, columns: tuple[str, ...], table: TableSchema
) -> Predicate:
    """A function that says whether a row laid out as `columns` matches.

    Raises FilterColumnError where the table or the layout lacks a column.
    """
    indexes = {name.casefold(): index for index, name in enumerate(columns)}
    indexes |= {name: index for index, name in enumerate(columns)}
    return _compile(bind_types(expression, table), indexes)


def _compile(expression: Expression, indexes: dict[str, int]) -> Predicate:
    if isinstance(expression, And):
        return _all([_compile(each, indexes) for each in expression.operands])
    if isinstance(expression, Or):
        return _any([_compile(each, indexes) for each in expression.operands])
    if isinstance(expression, Not):
        inner = _compile(expression.operand, indexes)
        return lambda row: not inner(row)
    column = expression.column
    index = indexes.get(column.name, indexes.get(column.name.casefold()))
    if index is None or column.type is None:
        raise FilterColumnError(
            f"the rows at hand lack the column {column.name}.",
            position=column.position,
            column=column.name,
        )
    if isinstance(expression, Comparison):
        return _comparison(expression, index, column.type)
    if isinstance(expression, In):
        return _in(expression, index, column.type)
    return _like(expression.pattern, index, _decoder(column.type))


def _all(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) and second(row)

    def test(row: Row) -> bool:
        for each in tests:  # noqa: SIM110
            if not each(row):
                return False
        return True

    return test


def _any(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) or second(row)

    def test(row: Row) -> bool:
        for each in tests:  # noqa: SIM110
            if each(row):
                return True
        return False

    return test


def _comparison(expression: Comparison, index: int, kind: ColumnType) -> Predicate:
    operator = expression.operator
    if expression.literal.kind is LiteralKind.NULL:
        if operator is Comparator.EQ:
            return lambda row: row[index] is None
        return lambda row: row[index] is not None
    decode = _decoder(kind)
    literal = _value(expression.literal, kind)
    if not operator.orders and decode is None:
        if operator is Comparator.EQ:
            return lambda row: row[index] == literal
        return lambda row: row[index] != literal
    compare = _OPERATORS[operator]
    for_null = operator is Comparator.NE
    if expression.literal.kind is LiteralKind.NOW:
        return lambda row: (
            for_null
            if (value := row[index]) is None
            else compare(_instant(value), _now(kind))
        )
    if decode is None:
        return lambda row: (
            for_null if (value := row[index]) is None else compare(value, literal)
        )
    return lambda row: (
        for_null if (value := row[index]) is None else compare(decode(value), literal)
    )


def _in(expression: In, index: int, kind: ColumnType) -> Predicate:
    decode = _decoder(kind)
    members: frozenset[Hashable] = frozenset(
        None if each.kind is LiteralKind.NULL else _value(each, kind)
        for each in expression.literals
    )
    if decode is None:
        return lambda row: row[index] in members
    for_null = None in members
    return lambda row: (
        for_null if (value := row[index]) is None else decode(value) in members
    )


def _like(pattern: Pattern, index: int, decode: Decode | None) -> Predicate:
    matches = _matcher(pattern)
    if decode is None:
        return lambda row: (value := row[index]) is not None and matches(value)
    return lambda row: (value := row[index]) is not None and matches(decode(value))


def _matcher(pattern: Pattern) -> Callable[[str], bool]:
    match pattern:
        case (str(start), Wildcard.ANY_TEXT):
            return lambda value: value.startswith(start)
        case (Wildcard.ANY_TEXT, str(end)):
            return lambda value: value.endswith(end)
        case (Wildcard.ANY_TEXT, str(middle), Wildcard.ANY_TEXT):
            return lambda value: middle in value
    fullmatch = re.compile(_regex(pattern), re.DOTALL).fullmatch
    return lambda value: fullmatch(value) is not None


def _regex(pattern: Pattern) -> str:
    """What stands between two `*` is taken where it is first found, for good: no text
    then takes more than a pass for each."""
    pieces = [""]
    for part in pattern:
        if part is Wildcard.ANY_TEXT:
            pieces.append("")
        else:
            pieces[-1] += "." if isinstance(part, Wildcard) else re.escape(part)
    first, *middle = pieces
    if not middle:
        return first
    last = middle.pop()
    return f"{first}{''.join(f'(?>.*?{piece})' for piece in middle)}.*{last}"


def _decoder(kind: ColumnType) -> Decode | None:
    """What turns canonical text into something that compares; None for the text."""
    family = kind.family
    if family is TypeFamily.INTEGER:
        return int
    if family is TypeFamily.DECIMAL:
        return _decimal
    if family is TypeFamily.FLOAT:
        return _real if kind.bits == 32 else _double
    if family in (TypeFamily.DATE, TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ):
        return _instant
    if family is TypeFamily.TEXT and _is_padded(kind):
        return _unpadded
    return None


def _value(literal: Literal, kind: ColumnType) -> Hashable:
    """The bound literal as the decoder of its column would give it."""
    value = literal.value
    if isinstance(value, bool):
        return "t" if value else "f"
    if not isinstance(value, Decimal):
        return value
    if kind.family is TypeFamily.FLOAT:
        return float(value)
    return int(value) if value == value.to_integral_value() else value


def _is_padded(kind: ColumnType) -> bool:
    """Fixed-length text: systems disagree on trailing blanks, so none count."""
    name = kind.name.lower()
    return name in ("character", "bpchar") or name.startswith(("character(", "char("))


def _unpadded(value: str) -> str:
    return value.rstrip(" ")


def _decimal(value: str) -> Decimal:
    return Decimal("Infinity") if value == "NaN" else Decimal(value)


def _double(value: str) -> float:
    return float("inf") if value == "NaN" else float(value)


def _real(value: str) -> float:
    number = _double(value)
    try:
        rounded: float = unpack("<f", pack("<f", number))[0]
    except OverflowError:
        return number
    return rounded


def _now(kind: ColumnType) -> str:
    """The present moment in the canonical form of a column."""
    moment = datetime.now(UTC)
    if kind.family is TypeFamily.DATE:
        return moment.date().isoformat()
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    text = text.rstrip("0").removesuffix(".")
    return f"{text}+00" if kind.family is TypeFamily.TIMESTAMPTZ else text


def _instant(value: str) -> str:
    """Canonical times of the years 1 to 9999 are in order as text; every other time
    is before or after all literals."""
    if value[4:5] == "-" and not value.endswith("BC"):
        return value
    return "" if value.startswith("-") or value.endswith("BC") else "~"
