"""True and false in canonical text form, and the yes and no of other types."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.errors import RecordError
from syncengine.mapping.numbers import fixed, out_of_range, parse, shown
from syncengine.mapping.schema import ColumnType

TRUE_WORDS = frozenset({"t", "true", "yes", "y", "1", "on"})
FALSE_WORDS = frozenset({"f", "false", "no", "n", "0", "off"})


def parse_boolean(text: str) -> str:
    """The truth value a word stands for; RecordError `conversion_failed`."""
    word = text.strip().casefold()
    if word in TRUE_WORDS:
        return "t"
    if word in FALSE_WORDS:
        return "f"
    raise RecordError(
        f"The value {shown(text)} is neither true nor false.",
        code="conversion_failed",
        value=text,
    )


def yes_and_no(type_: ColumnType) -> tuple[str, str] | None:
    """The labels of an enumeration that mean yes and no and nothing else, like
    No and Yes; None for any other."""
    words = {label: label.strip().casefold() for label in type_.labels}
    yes = [label for label, word in words.items() if word in TRUE_WORDS]
    no = [label for label, word in words.items() if word in FALSE_WORDS]
    if len(yes) != 1 or len(no) != 1 or len(words) != 2:
        return None
    return yes[0], no[0]


def from_enum(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """Yes and no of an enumeration as a truth value."""
    return parse_boolean


def to_enum(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """A truth value as the enumeration's label."""
    yes, no = yes_and_no(target) or ("", "")
    return {"t": yes, "f": no}.__getitem__


def from_integer(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """1 and 0 as a truth value; nothing else is one."""

    def convert(text: str) -> str:
        if text == "1":
            return "t"
        if text == "0":
            return "f"
        raise out_of_range(text, "0 and 1 only")

    return convert


def from_decimal(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """1 and 0 with any number of decimals as a truth value."""

    def convert(text: str) -> str:
        number = None if text in ("NaN", "Infinity", "-Infinity") else parse(text)
        if number == 1:
            return "t"
        if number == 0:
            return "f"
        raise out_of_range(text, "0 and 1 only")

    return convert


def to_integer(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """A truth value as 1 or 0."""
    return {"t": "1", "f": "0"}.__getitem__


def to_decimal(source: ColumnType, target: ColumnType) -> Callable[[str], str]:
    """A truth value as 1 or 0 with the decimals of the column."""
    return lambda text: fixed(parse("1" if text == "t" else "0"), target, text)
