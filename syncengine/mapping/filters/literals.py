"""Literals in the canonical form of their column's type family."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches

from syncengine.mapping.filters.expression import Literal, LiteralKind
from syncengine.mapping.filters.tokens import number_of
from syncengine.mapping.schema import ColumnType, TypeFamily

NUMERIC = frozenset({TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT})
MOMENTS = frozenset({TypeFamily.DATE, TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ})

_LISTED = 12
_YES_NO = {"yes": True, "no": False}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?", re.ASCII)


class MisfitError(Exception):
    """A literal does not fit; the text is what was expected and the cure."""

    def __init__(self, expected: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(expected)
        self.suggestions = suggestions


def converted(literal: Literal, kind: ColumnType) -> Literal:
    """The literal as a column of that type needs it. Raises MisfitError."""
    family = kind.family
    if literal.kind is LiteralKind.NOW:
        return _now(literal, family)
    if literal.kind is LiteralKind.TEXT and not literal.value:
        _refuse_empty(family)
    if family is TypeFamily.TEXT:
        return _text(literal)
    if family is TypeFamily.ENUM:
        return _label(literal, kind)
    if family is TypeFamily.BOOLEAN:
        return _boolean(literal)
    if family is TypeFamily.UUID:
        return _guid(literal)
    if family in NUMERIC:
        return _number(literal, kind)
    return _time(literal, family)


def _now(literal: Literal, family: TypeFamily) -> Literal:
    if family not in MOMENTS:
        raise MisfitError("a value of the column's type; now() is a date and time.")
    return literal


def _refuse_empty(family: TypeFamily) -> None:
    if family not in (TypeFamily.TEXT, TypeFamily.ENUM):
        raise MisfitError("a value; a column without a value is compared with null.")


def _text(literal: Literal) -> Literal:
    if literal.kind not in (LiteralKind.TEXT, LiteralKind.ENUM):
        raise MisfitError("a text; put the value in quotes.")
    return Literal(LiteralKind.TEXT, literal.value, literal.position)


def _label(literal: Literal, kind: ColumnType) -> Literal:
    """The label of an enumeration, found whatever its case. Where the only labels are
    Yes and No, true and false, 1 and 0 stand for them too."""
    folded = {label.casefold(): label for label in kind.labels}
    value = literal.value
    if folded.keys() == _YES_NO.keys() and (truth := _truth(literal)) is not None:
        value = "yes" if truth else "no"
    elif literal.kind not in (LiteralKind.TEXT, LiteralKind.ENUM):
        raise MisfitError(f"{_one_of(kind.labels)}; put the label in quotes.")
    if not kind.labels or value in kind.labels:
        return Literal(LiteralKind.TEXT, value, literal.position)
    label = folded.get(str(value).casefold())
    if label is None:
        close = get_close_matches(str(value).casefold(), folded, n=3)
        near = tuple(folded[name] for name in close)
        cure = f"; did you mean {' or '.join(near)}?" if near else "."
        raise MisfitError(f"{_one_of(kind.labels)}{cure}", near)
    return Literal(LiteralKind.TEXT, label, literal.position)


def _one_of(labels: tuple[str, ...]) -> str:
    if not labels:
        return "a label of the enumeration"
    if len(labels) > _LISTED:
        listed = ", ".join(labels[:_LISTED])
        return f"one of {listed} and {len(labels) - _LISTED} more"
    return f"one of {', '.join(labels)}"


def _truth(literal: Literal) -> bool | None:
    """Yes or no as the ERP writes it: true, false, 1, 0, NoYes::Yes, NoYes::No."""
    value = literal.value
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value in (0, 1):
        return value == 1
    if literal.kind is LiteralKind.ENUM and literal.enum.casefold() == "noyes":
        return _YES_NO.get(str(value).casefold())
    return None


def _boolean(literal: Literal) -> Literal:
    value = _truth(literal)
    if value is None:
        raise MisfitError("true or false, without quotes.")
    return Literal(LiteralKind.BOOLEAN, value, literal.position)


def _guid(literal: Literal) -> Literal:
    value = str(literal.value).lower()
    if literal.kind not in (LiteralKind.GUID, LiteralKind.TEXT) or not _UUID.fullmatch(
        value
    ):
        raise MisfitError("a GUID such as 0f8fad5b-d9cb-469f-a165-70867728950e.")
    return Literal(LiteralKind.GUID, value, literal.position)


def _number(literal: Literal, kind: ColumnType) -> Literal:
    """The number; quotes around it do not matter, as in `accounttype eq '3'`."""
    number = literal.value
    if literal.kind is LiteralKind.TEXT:
        number = number_of(str(number))
    elif literal.kind is LiteralKind.ENUM and (truth := _truth(literal)) is not None:
        number = Decimal(truth)
    if not isinstance(number, Decimal):
        cure = "."
        if literal.kind is LiteralKind.ENUM:
            cure = "; write the number that stands for the value."
        raise MisfitError(f"a number{cure}")
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
        raise MisfitError("a number within the range of the column.")
    return Decimal(repr(value)) if bits == 32 else number


def _time(literal: Literal, family: TypeFamily) -> Literal:
    if literal.kind not in (LiteralKind.TIME, LiteralKind.TEXT):
        example = "10:30:00" if family is TypeFamily.TIME else "2026-03-31"
        raise MisfitError(f"a time such as {example}.")
    text = str(literal.value)
    if family is TypeFamily.TIME:
        value = _time_of_day(text)
    else:
        moment = _instant(text)
        if family is TypeFamily.DATE:
            if moment != datetime.combine(moment, datetime.min.time(), UTC):
                raise MisfitError("a date without a time of day.")
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
        raise MisfitError("a date such as 2026-03-31 or 2026-03-31T10:30:00Z.")
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
        raise MisfitError("a date and time that the calendar has.") from None


def _time_of_day(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise MisfitError("a time of day such as 10:30:00.")
    seconds = match[3] or "00"
    if int(seconds) > 59:
        raise MisfitError("a time of day such as 10:30:00.")
    micros = _micros(match[4])
    fraction = f".{micros:06d}" if micros else ""
    return _trimmed(f"{match[1]}:{match[2]}:{seconds}{fraction}")


def _micros(fraction: str | None) -> int:
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6:
        raise MisfitError("at most six decimals of a second.")
    return int(digits.ljust(6, "0"))


def _trimmed(time: str) -> str:
    return time.rstrip("0") if "." in time else time
