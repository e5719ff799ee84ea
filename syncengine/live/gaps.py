"""Notices when changes of a source were lost to a stream, and when to let them go.

A source keeps its log for a stream (PostgreSQL: a replication slot). Whoever drops the
slot, makes it anew or moves it, and a server that throws the log away, makes a gap that
nothing else would show: the stream goes on as if nothing had been. And a log that grows
without end fills the source's disk: beyond the budget it is released, which is a gap
that we make ourselves. See ADR 9.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.connectors.base import Connector, HeldLog
from syncengine.ports import Control, Journal, LegMode

MIB = 1024 * 1024


class Gaps:
    """Looks after the log that the source keeps for one stream."""

    def __init__(
        self, link: str, source: Connector, journal: Journal, control: Control
    ) -> None:
        self._link = link
        self._source = source
        self._journal = journal
        self._control = control

    def mend(self, position: str) -> None:
        """Before the stream begins: where there is a gap behind `position` (and behind
        what was confirmed), or the log is beyond the budget, say so and begin anew.

        Raises OutageError and SetupError, and then has said so all the same.
        """
        known = max(position, self._control.confirmed())
        if not known:
            return
        held = self._source.held_log(self._link)
        reason = self._reason(held, known)
        if not reason:
            return
        self._control.gap(reason)
        if held is None or held.lost or held.unconfirmed_bytes > self._limit():
            if held is not None:
                self._source.release_log(self._link)
            self._source.install(self._link, self._tables())
            held = self._source.held_log(self._link)
        if held is not None:
            self._control.confirming(held.confirmed)

    def beyond_limit(self, unconfirmed_bytes: int | None) -> bool:
        """True when the log that waits for us is larger than it may be."""
        return unconfirmed_bytes is not None and unconfirmed_bytes > self._limit()

    def _limit(self) -> int:
        return self._control.budget().limit_bytes

    def _reason(self, held: HeldLog | None, known: str) -> str:
        place = self._source.settings.name
        if held is None:
            return (
                f"{place} no longer keeps its log for this link: its replication slot "
                "was dropped."
            )
        if held.lost:
            return (
                f"{place} has thrown away log that was not read yet: its replication "
                "slot is invalid."
            )
        limit = self._limit()
        if held.unconfirmed_bytes > limit:
            return (
                f"{place} kept {held.unconfirmed_bytes // MIB:,} MB of its log for "
                f"this link, more than the limit of {limit // MIB:,} MB: it was "
                "released."
            )
        if held.confirmed > known:
            return (
                f"The replication slot of {place} was made anew or moved: it begins "
                "behind the last change that was read."
            )
        return ""

    def _tables(self) -> Sequence[str]:
        configuration = self._control.configuration()
        return sorted(
            {
                leg.table_map.table(leg.direction.source)
                for leg in configuration.legs
                if leg.mode is not LegMode.OFF
            }
        )
