"""The one expression tree both filter dialects parse into, and what it means.

Every expression is true or false for a row, never unknown:

- `column == null` and `column != null` test for null. Null is not the empty string.
- A null column compared with a value is false for `== < <= > >=`, `like` and `in`,
  and true for `!=`. `not` is the plain opposite of what it stands before.
- Text compares by exact code points (case counts, no collation), numbers as decimals
  (columns of a binary float type as floats of that size, NaN above every number),
  times as UTC instants.
- `now()` is the moment at which the row is judged: UTC, the day alone for dates.

The Python predicate, the SQL and the OData text of an expression all keep to this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from typing import TypeAlias

from syncengine.mapping.schema import ColumnType

NO_DATE = "1900-01-01"


class Comparator(StrEnum):
    """The six comparisons."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="

    @property
    def flipped(self) -> Comparator:
        """The comparison that says the same with both sides exchanged."""
        return _FLIPPED.get(self, self)

    @property
    def orders(self) -> bool:
        """True for the four that need an order of values."""
        return self not in (Comparator.EQ, Comparator.NE)


_FLIPPED = {
    Comparator.LT: Comparator.GT,
    Comparator.LE: Comparator.GE,
    Comparator.GT: Comparator.LT,
    Comparator.GE: Comparator.LE,
}


class LiteralKind(StrEnum):
    """What a literal was written as (after binding: what the column needs)."""

    NULL = "null"
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"
    TIME = "time"
    """A date, time of day or instant, as ISO text."""
    GUID = "guid"
    NOW = "now"
    """The moment of judging; the value is always `now()`."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value: `Decimal` for numbers, `bool`, None for null, else text.

    `enum` is the enumeration's name where the value was written `Name::Value`.
    """

    kind: LiteralKind
    value: str | Decimal | bool | None
    position: int = field(default=0, compare=False)
    enum: str = ""


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of the filtered table. `type` is known after `bind_types`."""

    name: str
    position: int = field(default=0, compare=False)
    type: ColumnType | None = field(default=None, compare=False)


class Wildcard(Enum):
    """Places in a pattern that any text, or any one character, may take."""

    ANY_TEXT = "*"
    ANY_CHARACTER = "?"


Pattern: TypeAlias = "tuple[str | Wildcard, ...]"
"""Plain text and wildcards in turn. Two plain texts never stand side by side."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Column against a literal; with a null literal a test for null."""

    column: ColumnRef
    operator: Comparator
    literal: Literal


@dataclass(frozen=True, slots=True)
class Like:
    """True when the whole of a text column matches the pattern.

    The parsers and `bind_types` make a comparison of a pattern without wildcards.
    """

    column: ColumnRef
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class In:
    """True when the column equals one of the literals (null may be one of them)."""

    column: ColumnRef
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class And:
    """True when all operands (two or more) are."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when one of the operands (two or more) is."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the operand is false."""

    operand: Expression


def like(column: ColumnRef, pattern: Pattern) -> Like | Comparison:
    """The test that the whole of a column matches a pattern, in normal form."""
    if any(isinstance(part, Wildcard) for part in pattern):
        return Like(column, pattern)
    text = "".join(str(part) for part in pattern)
    literal = Literal(LiteralKind.TEXT, text, column.position)
    return Comparison(column, Comparator.EQ, literal)


Leaf: TypeAlias = Comparison | Like | In
Expression: TypeAlias = Comparison | Like | In | And | Or | Not


def leaves(expression: Expression) -> Iterator[Leaf]:
    """The tests on single columns, in the order they were written."""
    if isinstance(expression, And | Or):
        for operand in expression.operands:
            yield from leaves(operand)
    elif isinstance(expression, Not):
        yield from leaves(expression.operand)
    else:
        yield expression


def columns(expression: Expression) -> tuple[str, ...]:
    """Names of the columns used, each once, in order of first use."""
    return tuple(dict.fromkeys(leaf.column.name for leaf in leaves(expression)))


def depth(expression: Expression) -> int:
    """Levels of `and`, `or` and `not`, one above another."""
    if isinstance(expression, And | Or):
        return 1 + max(depth(operand) for operand in expression.operands)
    if isinstance(expression, Not):
        return 1 + depth(expression.operand)
    return 0


def empty_text_tests(expression: Expression) -> tuple[str, ...]:
    """Columns compared with `""` that no null test in the filter covers.

    For the health check: a null is not an empty text, so such a filter may miss rows.
    """
    return _missing_null(expression, lambda literal: literal.value == "")


def no_date_tests(expression: Expression) -> tuple[str, ...]:
    """Columns compared with the ERP's date for "no date", 1900-01-01, that no null test
    in the filter covers (spec sync 3.4)."""
    return _missing_null(
        expression,
        lambda literal: (
            literal.kind is LiteralKind.TIME and str(literal.value).startswith(NO_DATE)
        ),
    )


def _missing_null(
    expression: Expression, blank: Callable[[Literal], bool]
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    covered: set[str] = set()
    for leaf in leaves(expression):
        if isinstance(leaf, Like):
            continue
        literals = leaf.literals if isinstance(leaf, In) else (leaf.literal,)
        orders = isinstance(leaf, Comparison) and leaf.operator.orders
        for literal in literals:
            if literal.kind is LiteralKind.NULL:
                covered.add(leaf.column.name)
            elif not orders and blank(literal):
                found[leaf.column.name] = None
    return tuple(name for name in found if name not in covered)


def pattern_of(*parts: str | Wildcard) -> Pattern:
    """A pattern from its parts, in normal form: plain texts joined, `**` as `*`."""
    result: list[str | Wildcard] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Wildcard):
            if not (part is Wildcard.ANY_TEXT and last is Wildcard.ANY_TEXT):
                result.append(part)
        elif not part:
            continue
        elif last is not None and not isinstance(last, Wildcard):
            result[-1] = last + part
        else:
            result.append(part)
    return tuple(result)
