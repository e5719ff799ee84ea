"""When something was last done, by name."""

from __future__ import annotations

import time


class Due:
    """Remembers when something was last done."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def now(self, name: str, every: float) -> bool:
        """True when `every` seconds have passed since this last was true."""
        moment = time.monotonic()
        if moment - self._last.get(name, float("-inf")) < every:
            return False
        self._last[name] = moment
        return True

    def force(self, name: str) -> None:
        """Make the next `now` true."""
        self._last.pop(name, None)
