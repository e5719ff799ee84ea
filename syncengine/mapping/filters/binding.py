"""Binding a filter to a table: the schema's spelling, and literals of the right type.

Bound literals are in the canonical form of their column's family (`mapping.schema`):
what the backends compare with. Binding a bound expression changes nothing.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from re import compile as regex

from syncengine.mapping.filters.errors import FilterColumnError
from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparison,
    Expression,
    In,
    Like,
    Literal,
    LiteralKind,
    Not,
    Or,
)
from syncengine.mapping.schema import ColumnType, TableSchema, TypeFamily

_NUMERIC = {TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT}
_TIMES = {TypeFamily.DATE, TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ}
_ORDERED = _NUMERIC | _TIMES | {TypeFamily.TEXT, TypeFamily.TIME}
_COMPARABLE = _ORDERED | {TypeFamily.BOOLEAN, TypeFamily.ENUM, TypeFamily.UUID}

_UUID = regex(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = regex(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_TIME = regex(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?")


class _MisfitError(Exception):
    """A literal does not fit; the text is what was expected and the cure."""


def bind_types(
    expression: Expression, table: TableSchema, text: str = ""
) -> Expression:
    """The expression with the table's own column names, types and canonical literals.

    Column names are found whatever their case. Raises FilterColumnError with code
    `filter_column` for a column the table lacks and `filter_type` for a literal or
    comparison its type does not allow; with `text`, the filter's source, the failure
    shows the place in it.
    """
    if isinstance(expression, And | Or):
        operands = tuple(bind_types(each, table, text) for each in expression.operands)
        return replace(expression, operands=operands)
    if isinstance(expression, Not):
        return Not(bind_types(expression.operand, table, text))
    column, kind = _bind_column(expression.column, table, text)
    if isinstance(expression, Like):
        if kind.family is not TypeFamily.TEXT:
            message = f"{_described(column)} has no patterns, expected a text column."
            raise _type_error(message, column.position, text)
        return replace(expression, column=column)
    if isinstance(expression, In):
        literals = tuple(
            _bind_literal(each, column, kind, text) for each in expression.literals
        )
        return In(column, literals)
    operator, literal = expression.operator, expression.literal
    orderable = kind.family in _ORDERED and literal.kind is not LiteralKind.NULL
    bound = _bind_literal(literal, column, kind, text)
    if operator.orders and not orderable:
        message = (
            f"{_described(column)} can only be compared for equal or not equal here."
        )
        raise _type_error(message, column.position, text)
    return Comparison(column, operator, bound)


def _bind_column(
    column: ColumnRef, table: TableSchema, text: str
) -> tuple[ColumnRef, ColumnType]:
    found = table.column(column.name)
    if found is not None:
        bound = ColumnRef(found.name, column.position, found.type)
        return bound, found.type
    names = {each.name.casefold(): each.name for each in table.columns}
    close = get_close_matches(column.name.casefold(), names, n=3)
    near = [names[name] for name in close]
    message = f"the table {table.name} has no column {column.name}"
    raise FilterColumnError(
        f"{message}; did you mean {' or '.join(near)}?" if near else f"{message}.",
        position=column.position,
        text=text,
        column=column.name,
    )


def _bind_literal(
    literal: Literal, column: ColumnRef, kind: ColumnType, text: str
) -> Literal:
    if literal.kind is LiteralKind.NULL:
        return literal
    if not _comparable(kind):
        message = f"{_described(column)} can only be compared with null."
        raise _type_error(message, column.position, text)
    try:
        return _converted(literal, kind)
    except _MisfitError as misfit:
        message = f"found {_shown(literal)} for {_described(column)}, expected {misfit}"
        raise _type_error(message, literal.position, text, column.name) from None


def _comparable(kind: ColumnType) -> bool:
    if kind.family is TypeFamily.TIME and "with time zone" in kind.name:
        return False
    return kind.family in _COMPARABLE


def _type_error(
    message: str, position: int, text: str, column: str = ""
) -> FilterColumnError:
    details = {"column": column} if column else {}
    return FilterColumnError(
        message, position=position, text=text, code="filter_type", **details
    )


def _described(column: ColumnRef) -> str:
    kind = column.type
    return f"column {column.name} ({kind.name})" if kind else f"column {column.name}"


def _shown(literal: Literal) -> str:
    value = literal.value
    if literal.kind is LiteralKind.ENUM:
        return f"{literal.enum}::{value}"
    if literal.kind is LiteralKind.TEXT:
        return f'the text "{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _converted(literal: Literal, kind: ColumnType) -> Literal:
    family = kind.family
    if family is TypeFamily.TEXT:
        return _text(literal)
    if family is TypeFamily.ENUM:
        return _label(literal, kind)
    if family is TypeFamily.BOOLEAN:
        return _boolean(literal)
    if family is TypeFamily.UUID:
        return _guid(literal)
    if family in _NUMERIC:
        return _number(literal, kind)
    return _time(literal, family)


def _text(literal: Literal) -> Literal:
    if literal.kind not in (LiteralKind.TEXT, LiteralKind.ENUM):
        raise _MisfitError("a text; put the value in quotes.")
    return Literal(LiteralKind.TEXT, literal.value, literal.position)


def _label(literal: Literal, kind: ColumnType) -> Literal:
    bound = _text(literal)
    if kind.labels and bound.value not in kind.labels:
        raise _MisfitError(f"one of {', '.join(kind.labels)}.")
    return bound


def _boolean(literal: Literal) -> Literal:
    value = literal.value
    if literal.kind is LiteralKind.ENUM and literal.enum.lower() == "noyes":
        value = {"yes": True, "no": False}.get(str(value).lower())
    if not isinstance(value, bool):
        raise _MisfitError("true or false, without quotes.")
    return Literal(LiteralKind.BOOLEAN, value, literal.position)


def _guid(literal: Literal) -> Literal:
    value = str(literal.value).lower()
    if literal.kind not in (LiteralKind.GUID, LiteralKind.TEXT) or not _UUID.fullmatch(
        value
    ):
        raise _MisfitError("a GUID such as 0f8fad5b-d9cb-469f-a165-70867728950e.")
    return Literal(LiteralKind.GUID, value, literal.position)


def _number(literal: Literal, kind: ColumnType) -> Literal:
    number = literal.value
    if not isinstance(number, Decimal):
        cure = "."
        if literal.kind is LiteralKind.TEXT:
            cure = "; leave the quotes out."
        elif literal.kind is LiteralKind.ENUM:
            cure = "; write the number that stands for the value."
        raise _MisfitError(f"a number{cure}")
    if number == number.to_integral_value():
        number = Decimal(int(number))
    if kind.family is TypeFamily.FLOAT:
        number = _as_float(number, kind.bits)
    return Literal(LiteralKind.NUMBER, number, literal.position)


def _as_float(number: Decimal, bits: int | None) -> Decimal:
    """The number as a column of that size holds it."""
    try:
        value = float(number)
        if bits == 32:
            (value,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        value = float("inf")
    if value in (float("inf"), float("-inf")) or (value == 0) is not (number == 0):
        raise _MisfitError("a number within the range of the column.")
    return Decimal(repr(value)) if bits == 32 else number


def _time(literal: Literal, family: TypeFamily) -> Literal:
    if literal.kind not in (LiteralKind.TIME, LiteralKind.TEXT):
        example = "10:30:00" if family is TypeFamily.TIME else "2026-03-31"
        raise _MisfitError(f"a time such as {example}.")
    text = str(literal.value)
    if family is TypeFamily.TIME:
        value = _time_of_day(text)
    else:
        moment = _instant(text)
        if family is TypeFamily.DATE:
            if moment != datetime.combine(moment, datetime.min.time(), UTC):
                raise _MisfitError("a date without a time of day.")
            value = moment.date().isoformat()
        else:
            value = moment.replace(tzinfo=None).isoformat(sep=" ")
            value = _trimmed(value)
            if family is TypeFamily.TIMESTAMPTZ:
                value += "+00"
    return Literal(LiteralKind.TIME, value, literal.position)


def _instant(text: str) -> datetime:
    """A date or time as UTC; without a zone it is taken to be UTC."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise _MisfitError("a date such as 2026-03-31 or 2026-03-31T10:30:00Z.")
    year, month, day, hour, minute, second = (int(g or 0) for g in match.groups()[:6])
    zone = match[8] or "Z"
    offset = timedelta()
    if zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if zone[0] == "-" else offset
    micros = _micros(match[7])
    try:
        local = datetime(year, month, day, hour, minute, second, micros, UTC)
        return local - offset
    except (ValueError, OverflowError):
        raise _MisfitError("a date and time that the calendar has.") from None


def _time_of_day(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise _MisfitError("a time of day such as 10:30:00.")
    seconds = match[3] or "00"
    if int(seconds) > 59:
        raise _MisfitError("a time of day such as 10:30:00.")
    micros = _micros(match[4])
    fraction = f".{micros:06d}" if micros else ""
    return _trimmed(f"{match[1]}:{match[2]}:{seconds}{fraction}")


def _micros(fraction: str | None) -> int:
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6:
        raise _MisfitError("at most six decimals of a second.")
    return int(digits.ljust(6, "0"))


def _trimmed(time: str) -> str:
    return time.rstrip("0") if "." in time else time
