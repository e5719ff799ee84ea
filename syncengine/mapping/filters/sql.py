"""A filter as SQL in a neutral form: parts that a SQL connector renders by itself.

Each test on a column is never null, so that the whole may stand anywhere, also under
NOT. Text compares by bytes (`COLLATE "C"`), which for UTF-8 is the order of code
points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparator,
    Comparison,
    Expression,
    In,
    Like,
    Literal,
    LiteralKind,
    Not,
    Pattern,
    Wildcard,
)
from syncengine.mapping.schema import ColumnType, TypeFamily


@dataclass(frozen=True, slots=True)
class Raw:
    """SQL to be taken as it is (never holds `%` or anything an administrator wrote)."""

    sql: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """A column of the filtered table, to be quoted and qualified."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value, to be bound or quoted and cast: `CAST(text AS type)`."""

    text: str
    type: str


Part: TypeAlias = Raw | Identifier | Value


@dataclass(frozen=True, slots=True)
class SqlText:
    """A boolean SQL expression in parentheses; never null."""

    parts: tuple[Part, ...]


_SQL_OPERATORS = {
    Comparator.EQ: "=",
    Comparator.NE: "<>",
    Comparator.LT: "<",
    Comparator.LE: "<=",
    Comparator.GT: ">",
    Comparator.GE: ">=",
}
_CASTS = {
    TypeFamily.BOOLEAN: "boolean",
    TypeFamily.DATE: "date",
    TypeFamily.TIMESTAMP: "timestamp without time zone",
    TypeFamily.TIMESTAMPTZ: "timestamp with time zone",
    TypeFamily.TIME: "time without time zone",
    TypeFamily.UUID: "uuid",
}
_NOW = {
    TypeFamily.DATE: "CAST(now() AT TIME ZONE 'UTC' AS date)",
    TypeFamily.TIMESTAMP: "now() AT TIME ZONE 'UTC'",
    TypeFamily.TIMESTAMPTZ: "now()",
}
_BIGINT = 2**63


def to_sql(expression: Expression) -> SqlText:
    """The SQL of an expression that `bind_types` has bound."""
    parts: list[Part] = []
    for part in _expression(expression):
        last = parts[-1] if parts else None
        if isinstance(part, Raw) and isinstance(last, Raw):
            parts[-1] = Raw(last.sql + part.sql)
        else:
            parts.append(part)
    return SqlText(tuple(parts))


def _expression(expression: Expression) -> Iterator[Part]:
    yield Raw("(")
    if isinstance(expression, Not):
        yield Raw("NOT ")
        yield from _expression(expression.operand)
    elif isinstance(expression, Comparison):
        yield from _comparison(expression)
    elif isinstance(expression, In):
        yield from _in(expression)
    elif isinstance(expression, Like):
        yield from _when_not_null(expression.column)
        yield from _operand(expression.column)
        yield Raw(" LIKE ")
        yield Value(_like_pattern(expression.pattern), "text")
    else:
        word = " AND " if isinstance(expression, And) else " OR "
        for index, operand in enumerate(expression.operands):
            if index:
                yield Raw(word)
            yield from _expression(operand)
    yield Raw(")")


def _comparison(expression: Comparison) -> Iterator[Part]:
    column, operator, literal = (
        expression.column,
        expression.operator,
        expression.literal,
    )
    if literal.kind is LiteralKind.NULL:
        test = "IS NULL" if operator is Comparator.EQ else "IS NOT NULL"
        yield Identifier(column.name)
        yield Raw(f" {test}")
        return
    if operator is Comparator.NE:
        yield Identifier(column.name)
        yield Raw(" IS NULL OR ")
    else:
        yield from _when_not_null(column)
    yield from _operand(column)
    yield Raw(f" {_SQL_OPERATORS[operator]} ")
    yield _value(literal, _type(column))


def _in(expression: In) -> Iterator[Part]:
    column = expression.column
    values = [
        _value(literal, _type(column))
        for literal in expression.literals
        if literal.kind is not LiteralKind.NULL
    ]
    if len(values) < len(expression.literals):
        yield Identifier(column.name)
        yield Raw(" IS NULL")
        if not values:
            return
        yield Raw(" OR ")
    yield from _when_not_null(column)
    yield from _operand(column)
    for index, value in enumerate(values):
        yield Raw(", " if index else " IN (")
        yield value
    yield Raw(")")


def _when_not_null(column: ColumnRef) -> Iterator[Part]:
    yield Identifier(column.name)
    yield Raw(" IS NOT NULL AND ")


def _type(column: ColumnRef) -> ColumnType:
    if column.type is None:
        raise ValueError(f"column {column.name} is not bound to a table")
    return column.type


def _operand(column: ColumnRef) -> Iterator[Part]:
    if _type(column).family in (TypeFamily.TEXT, TypeFamily.ENUM):
        yield Raw("CAST(")
        yield Identifier(column.name)
        yield Raw(' AS text) COLLATE "C"')
    else:
        yield Identifier(column.name)


def _value(literal: Literal, kind: ColumnType) -> Part:
    value = literal.value
    if literal.kind is LiteralKind.NOW:
        return Raw(_NOW[kind.family])
    if isinstance(value, bool):
        return Value("t" if value else "f", "boolean")
    if isinstance(value, Decimal):
        return Value(format(value, "f"), _number_type(value, kind))
    return Value(str(value), _CASTS.get(kind.family, "text"))


def _number_type(value: Decimal, kind: ColumnType) -> str:
    if kind.family is TypeFamily.FLOAT:
        return "real" if kind.bits == 32 else "double precision"
    whole = value == value.to_integral_value() and -_BIGINT <= value < _BIGINT
    if kind.family is TypeFamily.INTEGER and whole:
        return "bigint"
    return "numeric"


def _like_pattern(pattern: Pattern) -> str:
    signs = {Wildcard.ANY_TEXT: "%", Wildcard.ANY_CHARACTER: "_"}
    return "".join(
        signs[part]
        if isinstance(part, Wildcard)
        else part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        for part in pattern
    )
