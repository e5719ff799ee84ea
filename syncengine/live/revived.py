"""Deletes that an initial copy has undone (architecture section 7).

A record deleted on its source while the map copies may have been on the other side
already, or still: the copy then brings it back, under our mark, so that no change
tells of it. Its queued delete removes it from the target; here it is removed from the
source again, so that the delete holds on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter

from syncengine.connectors.base import (
    Operation,
    OperationKind,
    Reader,
    Writer,
    WriteRefused,
)
from syncengine.errors import RecordError
from syncengine.live.legs import LiveLeg, record_request
from syncengine.live.routing import Routed
from syncengine.mapping.compiled import CompiledLeg, Resolved, Row


class Revived:
    """Finds and removes records of the source that a copy brought back.

    `reverse` gives a map's opposite leg: without one nothing was copied back.
    """

    def __init__(
        self,
        reader: Reader,
        source_writer: Writer,
        reverse: Callable[[int], CompiledLeg | None],
    ) -> None:
        self._reader = reader
        self._writer = source_writer
        self._reverse = reverse

    def remove(self, leg: LiveLeg, chains: Sequence[Routed]) -> int:
        """Remove records whose chain of changes ends in a delete and that are there
        again, in a state they had within the chain (as far as columns flow both ways);
        gives their number. Anything else was made by someone else and stays."""
        reverse = self._reverse(leg.configuration.map_id)
        if leg.compiled is None or reverse is None:
            return 0
        back = {slot.column for slot in reverse.slots}
        pick = itemgetter(
            *(
                i
                for i, slot in enumerate(leg.compiled.slots)
                if slot.sources and back.issuperset(slot.sources)
            )
        )
        ended = _images_before_delete(chains, pick)
        if not ended:
            return 0
        bound = leg.compiled.bind(leg.compiled.source_paths)
        resolved: Resolved = tuple({} for _ in leg.compiled.source_lookups)
        present = self._reader.fetch(record_request(leg.compiled), list(ended))
        removed = 0
        for row in present:
            key = bound.source_key(row, resolved)
            try:
                image = pick(bound.map(row, resolved))
            except RecordError:
                continue
            if image in ended.get(key, ()):
                removed += self._delete(reverse, key)
        return removed

    def _delete(self, reverse: CompiledLeg, key: Row) -> bool:
        """Delete one record on the source; what refers to it keeps it there."""
        operation = Operation(reverse, OperationKind.DELETE, key, None, force=True)
        try:
            return self._writer.apply([operation]).committed
        except WriteRefused:
            return False


def _images_before_delete(
    chains: Sequence[Routed], pick: Callable[[Row], object]
) -> dict[Row, set[object]]:
    """For each record whose chain ends in a delete, what its mapped images held."""
    found: dict[Row, set[object]] = {}
    for chain in chains:
        items = chain.items
        if not items or items[-1].kind is not OperationKind.DELETE:
            continue
        images = {
            pick(image)
            for item in items
            for image in (item.base, item.row)
            if image is not None
        }
        if images:
            found[items[-1].source_key] = images
    return found
