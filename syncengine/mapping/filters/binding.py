"""Binding a filter to a table: the schema's spelling, and literals of the right type.

Bound literals are in the canonical form of their column's family (`mapping.schema`):
what the backends compare with. Binding a bound expression changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches

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
    like,
)
from syncengine.mapping.filters.literals import (
    MOMENTS,
    NUMERIC,
    MisfitError,
    converted,
)
from syncengine.mapping.filters.tokens import shortened
from syncengine.mapping.schema import ColumnType, TableSchema, TypeFamily

_ORDERED = NUMERIC | MOMENTS | {TypeFamily.TEXT, TypeFamily.TIME}
_COMPARABLE = _ORDERED | {TypeFamily.BOOLEAN, TypeFamily.ENUM, TypeFamily.UUID}
_CLOSE = 0.75
_LOOKUP_VALUE = re.compile(r"_(.+)_value", re.IGNORECASE)


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
            raise _type_error(message, column, text)
        return like(column, expression.pattern)
    if isinstance(expression, In):
        members = (_bind_member(each, column, text) for each in expression.literals)
        return In(column, tuple(members))
    operator, literal = expression.operator, expression.literal
    orderable = kind.family in _ORDERED and literal.kind is not LiteralKind.NULL
    bound = _bind_literal(literal, column, text)
    if operator.orders and not orderable:
        message = (
            f"{_described(column)} can only be compared for equal or not equal here."
        )
        raise _type_error(message, column, text)
    return Comparison(column, operator, bound)


def _bind_column(
    column: ColumnRef, table: TableSchema, text: str
) -> tuple[ColumnRef, ColumnType]:
    found = table.column(column.name)
    if found is not None:
        bound = ColumnRef(found.name, column.position, found.type)
        return bound, found.type
    near = _near(column.name, table)
    message = f"the table {table.name} has no column {shortened(column.name)}"
    raise FilterColumnError(
        f"{message}; did you mean {' or '.join(near)}?" if near else f"{message}.",
        position=column.position,
        text=text,
        column=column.name,
        suggestions=near,
    )


def _near(name: str, table: TableSchema) -> list[str]:
    """Columns an administrator may have meant; Dataverse's own queries write a lookup
    as `_name_value`."""
    lookup = _LOOKUP_VALUE.fullmatch(name)
    if lookup and (found := table.column(lookup[1])):
        return [found.name]
    names = {each.name.casefold(): each.name for each in table.columns}
    folded = name.casefold()
    close = get_close_matches(folded, names, n=3, cutoff=_CLOSE)
    return [names[each] for each in close or get_close_matches(folded, names, n=1)]


def _bind_literal(literal: Literal, column: ColumnRef, text: str) -> Literal:
    kind = column.type
    if kind is None or literal.kind is LiteralKind.NULL:
        return literal
    if not _comparable(kind):
        message = f"{_described(column)} can only be compared with null."
        raise _type_error(message, column, text)
    try:
        return converted(literal, kind)
    except MisfitError as misfit:
        message = f"found {_shown(literal)} for {_described(column)}, expected {misfit}"
        raise FilterColumnError(
            message,
            position=literal.position,
            text=text,
            code="filter_type",
            column=column.name,
            suggestions=list(misfit.suggestions),
        ) from None


def _bind_member(literal: Literal, column: ColumnRef, text: str) -> Literal:
    if literal.kind is LiteralKind.NOW:
        raise FilterColumnError(
            "found now() in a list, expected a fixed value; compare with now() on its"
            " own.",
            position=literal.position,
            text=text,
            code="filter_type",
            column=column.name,
        )
    return _bind_literal(literal, column, text)


def _comparable(kind: ColumnType) -> bool:
    if kind.family is TypeFamily.TIME and "with time zone" in kind.name:
        return False
    return kind.family in _COMPARABLE


def _type_error(message: str, column: ColumnRef, text: str) -> FilterColumnError:
    return FilterColumnError(
        message,
        position=column.position,
        text=text,
        code="filter_type",
        column=column.name,
    )


def _described(column: ColumnRef) -> str:
    kind = column.type
    return f"column {column.name} ({kind.name})" if kind else f"column {column.name}"


def _shown(literal: Literal) -> str:
    value = literal.value
    if literal.kind is LiteralKind.ENUM:
        return shortened(f"{literal.enum}::{value}")
    if literal.kind is LiteralKind.TEXT:
        return f'the text "{shortened(str(value))}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortened(str(value))
