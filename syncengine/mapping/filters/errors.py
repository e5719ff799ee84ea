"""What can be wrong with a filter; each failure shows its place in the text."""

from __future__ import annotations

import re
from typing import Any

from syncengine.errors import EngineError

EXCERPT_WIDTH = 80
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


def line_and_character(text: str, position: int) -> tuple[int, int]:
    """The line and the character in it of a 0-based position, both from 1."""
    breaks = [found.end() for found in _LINE_BREAK.finditer(text, 0, position)]
    return len(breaks) + 1, position - (breaks[-1] if breaks else 0) + 1


def place_in_words(text: str, position: int) -> str:
    """`character 5`, or `line 2, character 5` where the text has several lines."""
    line, character = line_and_character(text, position)
    place = f"character {character}"
    return f"line {line}, {place}" if _LINE_BREAK.search(text) else place


def show_place(text: str, position: int) -> str:
    """The line of `text` that holds `position`, with a caret under it; of a long line
    the part around it."""
    start = 0
    end = len(text)
    for found in _LINE_BREAK.finditer(text):
        if found.end() > position:
            end = found.start()
            break
        start = found.end()
    position = min(position, end)
    before, after = text[start:position], text[position:end]
    half = EXCERPT_WIDTH // 2
    room = max(half, EXCERPT_WIDTH - len(after))
    if len(before) > room:
        before = f"…{before[len(before) - room + 1 :]}"
    room = EXCERPT_WIDTH - len(before)
    if len(after) > room:
        after = f"{after[: room - 1]}…"
    indent = "".join("\t" if character == "\t" else " " for character in before)
    return f"{before}{after}\n{indent}^"


class FilterError(EngineError):
    """A filter cannot be used. `position` is the 0-based place in its text, `line`
    and `character` the same place counted from 1; `reason` is the message without
    the place.

    `details["place"]` shows that place with a caret, where the text is known;
    `details["suggestions"]` lists names close to one that is not known.
    """

    code = "filter"

    def __init__(
        self,
        message: str,
        *,
        position: int,
        text: str = "",
        code: str | None = None,
        **details: Any,
    ) -> None:
        line, character = line_and_character(text, position)
        details.update(position=position, line=line, character=character)
        if text:
            details["filter"] = text
            details["place"] = show_place(text, position)
        place = place_in_words(text, position)
        super().__init__(f"Filter, {place}: {message}", code=code, details=details)
        self.position = position
        self.line = line
        self.character = character
        self.reason = message


class FilterSyntaxError(FilterError):
    """The text is not a filter of its dialect."""

    code = "filter_syntax"


class FilterColumnError(FilterError):
    """A column is unknown (`filter_column`) or its literal unfit (`filter_type`)."""

    code = "filter_column"
