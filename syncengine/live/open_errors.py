"""Which records of a stream have an open error, without reading them all.

The journal tells which legs have errors at all; only for those are the keys of a batch
asked for. A million open errors cost a stream no memory and one query a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncengine.awaiting import FREED, Arrivals, LegId
from syncengine.live.legs import LiveLeg
from syncengine.mapping.causes import WAITING_CODES
from syncengine.mapping.compiled import Row
from syncengine.ports import Journal


class OpenErrors:
    """The open errors of one stream, as far as its work needs them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._legs: tuple[LiveLeg, ...] = ()
        self.arrivals = Arrivals()
        self.freed: set[LegId] = set()
        """Legs whose records may not be referred to any more, to be told soon."""

    def use(self, legs: Iterable[LiveLeg]) -> None:
        """Look after these legs from now on."""
        self._legs = tuple(legs)
        self.arrivals.use(
            (leg.id, leg.compiled) for leg in self._legs if leg.compiled is not None
        )
        self.refresh()

    def refresh(self) -> None:
        """Learn anew which legs have errors, and which have records that wait."""
        found = self._journal.open_codes()
        for leg in self._legs:
            leg.has_errors = leg.id in found
            if not leg.has_errors:
                leg.open_keys.clear()
        self.arrivals.waiting = {
            leg.id for leg in self._legs if WAITING_CODES & found.get(leg.id, set())
        }

    def look_up(self, leg: LiveLeg, keys: Collection[Row]) -> None:
        """Learn which of these records of a leg have an open error."""
        configuration = leg.configuration
        leg.open_keys = self._journal.open_among(
            configuration.map_id, configuration.direction, keys
        )

    def let_go(self) -> bool:
        """Let records go on that others referred to; True when there may be some."""
        freed, self.freed = self.freed, set()
        for leg_id in freed:
            self.wake(leg_id, [FREED])
        return bool(freed)

    def wake(self, leg_id: LegId, awaited: Collection[str]) -> None:
        """Let records of a leg go on that wait for one of these."""
        map_id, direction = leg_id
        self._journal.wake(map_id, direction, awaited)
