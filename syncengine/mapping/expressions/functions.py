"""What expressions can compute, over None, exact decimals, texts and truth values.

Every function is bounded: numbers have at most `DIGITS` digits, texts `LONGEST`
characters. Where a result would need more, RecordError `value_out_of_range` says so.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from enum import StrEnum
from typing import Any

from syncengine.errors import RecordError
from syncengine.mapping import numbers

DIGITS = 100
LONGEST = 1_000_000
_MOST_DECIMALS = 30

_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
_EXACT = Context(prec=DIGITS, Emin=-999, Emax=999, traps=[*_TRAPS, Inexact])
_DIVIDING = Context(prec=DIGITS, Emin=-999, Emax=999, traps=_TRAPS)
_ROUNDING = Context(
    prec=DIGITS, Emin=-999, Emax=999, rounding=ROUND_HALF_EVEN, traps=_TRAPS
)


class Kind(StrEnum):
    """What a part of an expression is. `ANY` and `SAME` are for parameters: of any
    kind, and of the kind that all such arguments and the result share."""

    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "true or false"
    NOTHING = "null"
    ANY = "any value"
    SAME = "values of one kind"


@dataclass(frozen=True, slots=True)
class Function:
    """A function: the kinds of its parameters, of which the last may come `more`
    times or the last `optional` be left out, and the kind of its result."""

    call: Callable[..., Any]
    parameters: tuple[Kind, ...]
    result: Kind
    optional: int = 0
    more: bool = False


def _too_long(length: int) -> RecordError:
    return RecordError(
        f"The expression gives a text of {length} characters; {LONGEST} at most are "
        "possible.",
        code="value_out_of_range",
    )


def as_text(value: Any) -> str:
    """A value as text; null is the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return numbers.plain(value)
    return str(value)


def concat(*values: Any) -> str:
    """The texts of all values, one after the other."""
    texts = [as_text(value) for value in values]
    length = sum(map(len, texts))
    if length > LONGEST:
        raise _too_long(length)
    return "".join(texts)


def text(value: Any) -> str | None:
    """The value as text."""
    return None if value is None else as_text(value)


def number(value: str | None) -> Decimal | None:
    """The number that a text spells; an empty text is none."""
    if value is None or not value.strip():
        return None
    return exact(numbers.parse(value))


def exact(value: Decimal) -> Decimal:
    """A number that arithmetic can take. Raises when it has too many digits."""
    return _bounded(_EXACT.plus, value)


def _bounded(operation: Callable[..., Decimal], *values: Any) -> Decimal:
    try:
        return operation(*values)
    except ZeroDivisionError:
        message = "The expression divides by zero."
        raise RecordError(message, code="conversion_failed") from None
    except (InvalidOperation, Overflow, Inexact):
        raise RecordError(
            f"The expression needs a number of more than {DIGITS} digits.",
            code="value_out_of_range",
        ) from None


def _arithmetic(
    operation: Callable[..., Decimal],
) -> Callable[..., Decimal | None]:
    def calculate(*values: Decimal | None) -> Decimal | None:
        if None in values:
            return None
        return _bounded(operation, *values)

    return calculate


def _divide(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise ZeroDivisionError
    return _DIVIDING.divide(left, right)


def _round(value: Decimal, decimals: Decimal = Decimal(0)) -> Decimal:
    places = _whole(decimals, -_MOST_DECIMALS, _MOST_DECIMALS, "decimals")
    return _ROUNDING.quantize(value, Decimal(1).scaleb(-places))


def _whole(value: Decimal, lowest: int, highest: int, what: str) -> int:
    if value != value.to_integral_value() or not lowest <= value <= highest:
        raise RecordError(
            f"The expression asks for {numbers.plain(value)} {what}; whole numbers "
            f"from {lowest} to {highest} are possible.",
            code="value_out_of_range",
        )
    return int(value)


def _of_text(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives null for a null."""

    def apply(*values: Any) -> Any:
        return None if None in values else operation(*values)

    return apply


def _left(value: str, count: Decimal) -> str:
    return value[: _whole(count, 0, LONGEST, "characters")]


def _right(value: str, count: Decimal) -> str:
    return value[max(len(value) - _whole(count, 0, LONGEST, "characters"), 0) :]


def _substring(value: str, start: Decimal, count: Decimal = Decimal(LONGEST)) -> str:
    first = _whole(start, 1, LONGEST, "as first character") - 1
    return value[first : first + _whole(count, 0, LONGEST, "characters")]


def _replace(value: str, old: str, new: str) -> str:
    if not old:
        return value
    length = len(value) + value.count(old) * (len(new) - len(old))
    if length > LONGEST:
        raise _too_long(length)
    return value.replace(old, new)


def coalesce(*values: Any) -> Any:
    """The first value that is not null."""
    return next((value for value in values if value is not None), None)


def _is_blank(value: Any) -> bool:
    return value is None or value == ""


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        return left is not None and right is not None and test(left, right)

    return compare


_N, _T, _S = Kind.NUMBER, Kind.TEXT, Kind.SAME

FUNCTIONS: dict[str, Function] = {
    "concat": Function(concat, (Kind.ANY,), _T, more=True),
    "trim": Function(_of_text(str.strip), (_T,), _T),
    "upper": Function(_of_text(str.upper), (_T,), _T),
    "lower": Function(_of_text(str.lower), (_T,), _T),
    "left": Function(_of_text(_left), (_T, _N), _T),
    "right": Function(_of_text(_right), (_T, _N), _T),
    "substring": Function(_of_text(_substring), (_T, _N, _N), _T, optional=1),
    "replace": Function(_of_text(_replace), (_T, _T, _T), _T),
    "length": Function(_of_text(lambda value: Decimal(len(value))), (_T,), _N),
    "text": Function(text, (Kind.ANY,), _T),
    "number": Function(number, (_T,), _N),
    "round": Function(_arithmetic(_round), (_N, _N), _N, optional=1),
    "abs": Function(_arithmetic(_EXACT.abs), (_N,), _N),
    "coalesce": Function(coalesce, (_S, _S), _S, more=True),
    "is_blank": Function(_is_blank, (Kind.ANY,), Kind.TRUTH),
}
"""All functions but `if`, which is part of the tree, and `column`, which is a name."""

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: _arithmetic(_EXACT.add),
    ast.Sub: _arithmetic(_EXACT.subtract),
    ast.Mult: _arithmetic(_EXACT.multiply),
    ast.Div: _arithmetic(_divide),
    ast.USub: _arithmetic(_EXACT.minus),
    ast.UAdd: _arithmetic(_EXACT.plus),
    ast.Not: lambda value: not value,
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: _ordered(lambda left, right: left < right),
    ast.LtE: _ordered(lambda left, right: left <= right),
    ast.Gt: _ordered(lambda left, right: left > right),
    ast.GtE: _ordered(lambda left, right: left >= right),
}
