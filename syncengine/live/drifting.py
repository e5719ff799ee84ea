"""Tells faults of records from tables that were changed under a running map.

The watcher sees a changed table only seconds later. Until then the target refuses rows
that are not to blame: before a record becomes an error, the tables are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncengine.live.legs import LiveLeg

SUSPECT = frozenset(
    {
        *("schema_changed", "table_missing", "column_missing", "column_not_writable"),
        *("required_value_missing", "value_too_long", "value_out_of_range"),
        *("conversion_failed", "duplicate_value", "reference_missing", "refused"),
        *("check_violated", "precision_loss", "target_changed"),
    }
)
"""Codes that a change of the table may be behind."""

LACKING = frozenset({"table_missing", "column_missing"})
"""What a reader says of a table or column that is gone."""

CERTAIN = LACKING | {"schema_changed", "column_not_writable"}
"""Codes that bad data never has: always worth a look."""

LOOK_AGAIN_SECONDS = 0.5
"""Bad data comes in waves: one look for all of it."""


class TablesChanged(Exception):
    """A leg's tables are no longer as it was compiled: compile, then route again."""


class Suspicion:
    """Looks at the tables of legs whose records are refused."""

    def __init__(self, drifted: Callable[[LiveLeg], bool]) -> None:
        self._drifted = drifted
        self._looked: dict[int, float] = {}

    def look(self, leg: LiveLeg, code: str) -> None:
        """Raise TablesChanged if the tables of `leg` have changed. Raises OutageError
        when they cannot be read."""
        if code not in SUSPECT or leg.compiled is None:
            return
        now = time.monotonic()
        last = self._looked.get(id(leg.compiled), float("-inf"))
        if code not in CERTAIN and now - last < LOOK_AGAIN_SECONDS:
            return
        if self._drifted(leg):
            raise TablesChanged
        self._looked[id(leg.compiled)] = now
