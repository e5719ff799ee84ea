"""What can be wrong with a filter; each failure shows its place in the text."""

from __future__ import annotations

from typing import Any

from syncengine.errors import EngineError


def show_place(text: str, position: int) -> str:
    """The line of `text` that holds `position`, with a caret under it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start:] if end < 0 else text[start:end]
    indent = "".join("\t" if c == "\t" else " " for c in text[start:position])
    return f"{line}\n{indent}^"


class FilterError(EngineError):
    """A filter cannot be used. `position` is the 0-based place in its text.

    `details["place"]` shows that place with a caret, where the text is known.
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
        details["position"] = position
        if text:
            details["filter"] = text
            details["place"] = show_place(text, position)
        place = f"Filter, character {position + 1}"
        super().__init__(f"{place}: {message}", code=code, details=details)
        self.position = position


class FilterSyntaxError(FilterError):
    """The text is not a filter of its dialect."""

    code = "filter_syntax"


class FilterColumnError(FilterError):
    """A column is unknown (`filter_column`) or its literal unfit (`filter_type`)."""

    code = "filter_column"
