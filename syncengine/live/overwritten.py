"""Updates that an initial copy has undone on their own side (architecture section 7).

A record changed while the map copies may be overwritten by the copy right after, with
what the other side held: under our mark, so that no change tells of it. Its queued
update changes the target; here the new values are brought back to the source, so that
the update holds on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from syncengine.agreement import reverse_slots
from syncengine.conflicts import Settler
from syncengine.connectors.base import ColumnConflict, OperationKind, Reader
from syncengine.contests import Contest
from syncengine.errors import RecordError
from syncengine.live.legs import LiveLeg, record_request
from syncengine.live.routing import Item, Routed
from syncengine.mapping.compiled import CompiledLeg, Resolved, Row
from syncengine.mapping.model import ConflictPolicy
from syncengine.record_keys import as_read


class Overwritten:
    """Finds and mends records of the source that a copy set back.

    `reverse` gives a map's opposite leg: without one nothing was copied over them.
    """

    def __init__(
        self,
        reader: Reader,
        settler: Settler,
        reverse: Callable[[int], CompiledLeg | None],
    ) -> None:
        self._reader = reader
        self._settler = settler
        self._reverse = reverse

    def find(self, leg: LiveLeg, chains: Sequence[Routed]) -> list[Contest]:
        """Records whose chain of changes ends in an update and whose present row has
        again, in some column, a value from before it."""
        reverse = self._reverse(leg.configuration.map_id)
        compiled = leg.compiled
        if compiled is None or reverse is None:
            return []
        updated = {
            chain.items[-1].source_key: chain.items
            for chain in chains
            if chain.items
            and chain.items[-1].kind is OperationKind.UPSERT
            and chain.items[-1].row is not None
            and chain.items[0].base is not None
        }
        if not updated:
            return []
        bound = compiled.bind(compiled.source_paths)
        resolved: Resolved = tuple({} for _ in compiled.source_lookups)
        found: list[Contest] = []
        for row in self._reader.fetch(record_request(compiled), list(updated)):
            key = bound.source_key(row, resolved)
            items = updated.get(key)
            if items is None:
                continue
            try:
                present = bound.map(row, resolved)
            except RecordError:
                continue
            columns = _set_back(compiled, reverse, items, present)
            if columns:
                found.append(
                    Contest(
                        map_id=leg.configuration.map_id,
                        leg=compiled,
                        reverse=reverse,
                        source_key=key,
                        target_key=as_read(compiled, reverse, items[-1].key),
                        columns=columns,
                        policy=ConflictPolicy.LAST_WRITER_WINS,
                    )
                )
        return found

    def settle(self, contests: Sequence[Contest]) -> None:
        """Make both sides equal, once the target has the updates: the target's rows
        are the younger ones then."""
        for contest in contests:
            with suppress(RecordError):  # what cannot be mapped is left to a compare
                self._settler.settle(contest)


def _set_back(
    leg: CompiledLeg, reverse: CompiledLeg, items: Sequence[Item], present: Row
) -> list[ColumnConflict]:
    """Columns that flow both ways and hold a value from before the last change."""
    last = items[-1].row or ()
    earlier = [
        image for item in items for image in (item.base, item.row) if image is not None
    ]
    return [
        ColumnConflict(index, present[index], new, present[index])
        for index, new in enumerate(last)
        if present[index] != new
        and reverse_slots(leg, reverse, index)
        and any(image[index] == present[index] for image in earlier)
    ]
