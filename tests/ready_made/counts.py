"""What an initial sync of a ready-made map must count."""

from __future__ import annotations

from collections.abc import Mapping

from portal.sample.ready_made.populations import LINKED, Presence
from portal.sample.ready_made.records import Records
from syncengine.catalog import CatalogEntry
from syncengine.initial import ChunkResult
from syncengine.mapping.model import Direction, Side


def miscounted(
    entry: CatalogEntry, records: Records, counts: Mapping[Direction, ChunkResult]
) -> list[str]:
    """What is wrong with the counts of a first run that begins with the ERP: records
    on both sides are equal, those of a leg's source alone are new to its target."""
    population = records.populations.of(entry)
    linked = {
        place: population.presence(place)
        for side in Side
        for place in population.places(side)
        if place[0] < len(LINKED)
    }
    there = {one: list(linked.values()).count(one) for one in Presence}
    found = []
    for way in Direction:
        if way not in entry.directions:
            continue
        new = there[Presence(way.source.value)]
        equal = there[Presence.BOTH]
        if way is Direction.DATAVERSE_TO_FINOPS and len(entry.directions) > 1:
            equal += there[Presence.FINOPS]  # which the first leg has brought
        wanted = ChunkResult(equal + new, inserted=new, unchanged=equal)
        if way is Direction.DATAVERSE_TO_FINOPS:
            # Not the master's leg: it leaves alone what the other side has already.
            wanted = ChunkResult(equal + new, inserted=new, skipped=equal)
        if counts.get(way) != wanted:
            found.append(f"{way.value}: {counts.get(way)}, not {wanted}")
    return found
