"""Tokens that both dialects share, and the scanning of numbers, times and texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NoReturn

from syncengine.mapping.filters.errors import FilterColumnError, FilterSyntaxError
from syncengine.mapping.filters.expression import (
    Comparator,
    Literal,
    LiteralKind,
)

MAX_LENGTH = 100_000
MAX_DIGITS = 400
SHOWN = 40


class Kind(Enum):
    """Kinds of tokens; the value says in an error message what they are."""

    NAME = "a column"
    LITERAL = "a value"
    COMPARE = "a comparison"
    LIKE = "like"
    IN = "in"
    AND = "and"
    OR = "or"
    NOT = "not"
    OPEN = '"("'
    CLOSE = '")"'
    COMMA = '","'
    END = "the end of the filter"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is what was written at `position`."""

    kind: Kind
    text: str
    position: int
    comparator: Comparator | None = None
    literal: Literal | None = None

    @property
    def shown(self) -> str:
        """How an error message quotes the token."""
        if self.kind is Kind.END:
            return str(self.kind.value)
        text = shortened(self.text)
        return text if text.startswith(("'", '"')) else f'"{text}"'


def shortened(text: str) -> str:
    """What a message shows of a text that may be long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def quoted(text: str) -> str:
    """A character or word as a message quotes it; one that prints nothing by its
    number."""
    if text.isprintable():
        return f'"{shortened(text)}"'
    return f"the character U+{ord(text[0]):04X}"


NAME = re.compile(r"[^\W\d]\w*")
PATH = re.compile(r"[^\W\d]\w*(?:[./]\w+)+")
PATH_DOT = (".", "/")
SPACE = re.compile(r"\s*")
NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)", re.ASCII)
FOREIGN_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}[\w:.+-]*", re.ASCII)
NOW = re.compile(r"now\s*\(\s*\)", re.IGNORECASE)
TEXT = re.compile("\"(?:[^\"]|\"\")*\"(?!\")|'(?:[^']|'')*'(?!')")
ISO_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:[Tt]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:\d{2})?)?(?![\w:-])"
    r"|\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?![\w:])",
    re.ASCII,
)

_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.ASCII)

CONSTANTS = {
    "null": (LiteralKind.NULL, None),
    "true": (LiteralKind.BOOLEAN, True),
    "false": (LiteralKind.BOOLEAN, False),
}


class Scanner:
    """A place in a filter's text that moves forward; raises FilterSyntaxError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        if len(text) > MAX_LENGTH:
            raise self.error(
                f"the filter goes on; expected at most {MAX_LENGTH} characters.",
                MAX_LENGTH,
            )
        for position, character in enumerate(text):
            if character == "\0" or "\ud800" <= character <= "\udfff":
                code = f"U+{ord(character):04X}"
                raise self.error(
                    f"found {code}, a character that no filter may hold.", position
                )

    def error(self, message: str, position: int | None = None) -> FilterSyntaxError:
        """A failure at `position` (the present one when not given)."""
        at = self.position if position is None else position
        return FilterSyntaxError(message, position=at, text=self.text)

    def skip_space(self) -> bool:
        """Move past white space; true when something is left."""
        match = SPACE.match(self.text, self.position)
        if match:
            self.position = match.end()
        return self.position < len(self.text)

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """What `pattern` matches here, moving past it, or None."""
        match = pattern.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match.group()

    def take_text(self) -> str | None:
        """A quoted text without its quotes; a doubled quote stands for one."""
        start = self.position
        text = self.take(TEXT)
        if text is not None:
            quote = text[0]
            return text[1:-1].replace(quote * 2, quote)
        quote = self.text[start : start + 1]
        if quote not in ("'", '"'):
            return None
        raise self.error(
            f"the text that begins here never ends; expected another {quote} at its"
            f" end (a quote inside a text is written twice, {quote}{quote}).",
            start,
        )

    def take_number(self) -> Literal | None:
        """A number as an exact decimal."""
        start = self.position
        text = self.take(NUMBER)
        if text is None:
            return None
        number = _decimal(text)
        if number is None:
            raise self.error(
                f"the number {text[:40]} is too long; expected at most {MAX_DIGITS}"
                " digits.",
                start,
            )
        return Literal(LiteralKind.NUMBER, number, start)

    def refuse_foreign_date(self, cure: str) -> None:
        """Fail at a date that is written as neither dialect writes it."""
        start = self.position
        found = self.take(FOREIGN_DATE)
        if found is not None:
            raise self.error(f'found "{found}", expected a value; {cure}.', start)

    def take_now(self) -> Literal | None:
        """The function `now()`."""
        start = self.position
        if self.take(NOW) is None:
            return None
        return Literal(LiteralKind.NOW, "now()", start)

    def take_time(self) -> Literal | None:
        """An unquoted ISO date, time of day or instant; without a zone it is UTC."""
        start = self.position
        text = self.take(ISO_TIME)
        if text is None:
            return None
        return Literal(LiteralKind.TIME, zoned(text.upper()), start)

    def take_constant(self) -> Literal | None:
        """The words null, true and false."""
        start = self.position
        word = self.take(NAME)
        constant = CONSTANTS.get(word.lower()) if word else None
        if constant is None or self.text[self.position : self.position + 1] in PATH_DOT:
            self.position = start
            return None
        kind, value = constant
        return Literal(kind, value, start)

    def refuse_path(self) -> None:
        """Fail where the text names a column of another table."""
        start = self.position
        path = self.take(PATH)
        if path is not None:
            raise FilterColumnError(
                f"found {shortened(path)}, which leads to another table; nested lookups"
                " are not possible in a filter, expected a column of the table itself.",
                position=start,
                text=self.text,
            )

    def unknown(self, foreign: re.Pattern[str], cures: Mapping[str, str]) -> NoReturn:
        """Fail at something that no filter of the dialect holds."""
        start = self.position
        found = self.take(foreign) or self.text[start]
        cure = cures.get(found.lower())
        message = f"found {quoted(found)}, expected a column, a value or an operator"
        raise self.error(f"{message}; write {cure}." if cure else f"{message}.", start)


def tokenize(text: str, scan: Callable[[Scanner], Token]) -> list[Token]:
    """All tokens of a filter, the last one of kind END."""
    scanner = Scanner(text)
    tokens: list[Token] = []
    while scanner.skip_space():
        tokens.append(scan(scanner))
    tokens.append(Token(Kind.END, "", len(text.rstrip())))
    return tokens


def number_of(text: str) -> Decimal | None:
    """The number that `text` as a whole is, or None."""
    return _decimal(text) if NUMBER.fullmatch(text) else None


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    digits = number.as_tuple().digits
    if len(digits) > MAX_DIGITS or abs(number.adjusted()) > MAX_DIGITS:
        return None
    return number


def zoned(value: str) -> str:
    """An ISO time with its zone, which is UTC where it has none; dates and times of
    day have none."""
    return value if "T" not in value or _ZONE.search(value) else f"{value}Z"


def iso_time(value: str) -> str:
    """A time literal's value in ISO form, be it as written or canonical."""
    iso = value.replace(" ", "T")
    return iso[:-3] + "Z" if iso.endswith("+00") else iso
