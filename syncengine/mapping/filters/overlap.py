"""Whether two filters can hold for one row.

Each column that both filters test is tried by itself, with one value out of every
range that their literals cut its values into; tests of other columns may come out
either way. So `True` is certain, `False` only says that nothing was proved.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any

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
    Or,
    columns,
    leaves,
)

_OPERATORS = {
    Comparator.EQ: eq,
    Comparator.NE: ne,
    Comparator.LT: lt,
    Comparator.LE: le,
    Comparator.GT: gt,
    Comparator.GE: ge,
}


def exclude_each_other(first: Expression | None, second: Expression | None) -> bool:
    """True when no row can match both; without a filter every row matches."""
    if first is None or second is None:
        return False
    own = {name.casefold() for name in columns(first)}
    shared = {name.casefold() for name in columns(second)} & own
    return any(_exclude_on(column, first, second) for column in shared)


def is_null(column: str) -> Expression:
    """The test that a column has no value."""
    return Comparison(ColumnRef(column), Comparator.EQ, Literal(LiteralKind.NULL, None))


def _exclude_on(column: str, first: Expression, second: Expression) -> bool:
    both = (first, second)
    literals = [
        literal
        for expression in both
        for leaf in leaves(expression)
        if leaf.column.name.casefold() == column
        for literal in _literals(leaf)
    ]
    read = _reader(literals)
    values = _one_of_each([v for one in literals if (v := read(one)) is not None])
    return not any(
        all(_holds(expression, column, value, read) is not False for expression in both)
        for value in values
    )


def _literals(leaf: Expression) -> tuple[Literal, ...]:
    if isinstance(leaf, Comparison):
        return (leaf.literal,)
    return leaf.literals if isinstance(leaf, In) else ()


def _reader(literals: Sequence[Literal]) -> Any:
    """How to read the literals of one column so that they can be compared."""
    kinds = {type(one.value) for one in literals if one.value is not None}
    if kinds <= {Decimal} or kinds == {bool}:
        return lambda literal: literal.value
    return lambda literal: None if literal.value is None else str(literal.value)


def _one_of_each(literals: Sequence[Any]) -> list[Any]:
    """Null, every literal, and one value below, between and above them."""
    known = sorted(set(literals))
    if not known or isinstance(known[0], bool):
        return [None, False, True]
    if isinstance(known[0], Decimal):
        between = [(a + b) / 2 for a, b in itertools.pairwise(known)]
        return [None, *known, *between, known[0] - 1, known[-1] + 1]
    return [None, "", *known, *(text + "\x00" for text in known)]


def _holds(expression: Expression, column: str, value: Any, read: Any) -> bool | None:
    """What the expression says when `column` has the value; None for either."""
    if isinstance(expression, Not):
        inner = _holds(expression.operand, column, value, read)
        return None if inner is None else not inner
    if isinstance(expression, And | Or):
        parts = [_holds(one, column, value, read) for one in expression.operands]
        decisive = isinstance(expression, Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if expression.column.name.casefold() != column:
        return None
    if isinstance(expression, Like):
        return False if value is None else None
    if isinstance(expression, In):
        return value in [read(literal) for literal in expression.literals]
    wanted = read(expression.literal)
    if value is None or wanted is None:
        equal = value is None and wanted is None
        return (
            equal
            if expression.operator is Comparator.EQ
            else (expression.operator is Comparator.NE and not equal)
        )
    return bool(_OPERATORS[expression.operator](value, wanted))
