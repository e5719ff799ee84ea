"""What can be wrong with an expression; each failure shows its place in the text."""

from __future__ import annotations

from syncengine.errors import EngineError
from syncengine.mapping.filters.errors import show_place


class ExpressionError(EngineError):
    """An expression cannot be used. `position` is the 0-based place in its text;
    `details["place"]` shows that place with a caret."""

    code = "expression_invalid"

    def __init__(self, message: str, *, position: int, text: str) -> None:
        super().__init__(
            f"Expression, character {position + 1}: {message}",
            details={
                "position": position,
                "expression": text,
                "place": show_place(text, position),
            },
        )
        self.position = position
