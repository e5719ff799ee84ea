"""Whether what a stream has carried can be read on its source.

A server tells its stream of a transaction as soon as that is in its log, which may be a
moment before others see it; where commits wait for us, they are seen only once we have
confirmed them. Whoever reads a present row to decide about a change asks here first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from syncengine.connectors.base import Reader, Transaction

REMEMBERED = 10_000


class Visibility:
    """The newest transactions of a stream that nobody has asked about yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._carried: deque[str] = deque(maxlen=REMEMBERED)

    def note(self, transactions: Iterable[Transaction]) -> None:
        """These have been carried over."""
        self._carried.extend(one.transaction_id for one in transactions)

    def reached(self) -> bool:
        """True when reads from now on show all that was noted. Raises OutageError."""
        if self._carried:
            still = self._reader.invisible(set(self._carried))
            self._carried = deque(still, maxlen=REMEMBERED)
        return not self._carried
