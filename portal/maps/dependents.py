"""Which running maps refer to others: they are offered when those are paused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from portal.maps import preparation
from portal.maps.models import MapState, TableMap
from portal.sync.set_aside import remembered_tables
from syncengine.mapping.dependencies import prerequisites
from syncengine.mapping.model import Side
from syncengine.mapping.schema import EnvironmentSchema
from syncengine.mapping.schema_json import table_from_json


def running_dependents(maps: Sequence[TableMap]) -> list[TableMap]:
    """Running maps whose lookups lead, directly or through others, to one of `maps`.
    Asks neither system: it goes by their tables as the streams last saw them."""
    by_set: dict[int, list[TableMap]] = defaultdict(list)
    for one in maps:
        by_set[one.connection_set_id].append(one)
    found: list[TableMap] = []
    for chosen in by_set.values():
        found += _of_set(chosen)
    return found


def _of_set(chosen: Sequence[TableMap]) -> list[TableMap]:
    connection_set = chosen[0].connection_set
    rows = {one.name: one for one in preparation.maps_of(connection_set)}
    needs = prerequisites(
        [preparation.definition(one) for one in rows.values()],
        {side: _schema(chosen[0], side) for side in Side},
    )
    wanted = {one.name for one in chosen}
    reached = set(wanted)
    while True:
        more = {
            name
            for name, needed in needs.items()
            if name not in reached and not reached.isdisjoint(needed)
        }
        if not more:
            break
        reached |= more
    return [
        one
        for name, one in rows.items()
        if name in reached - wanted and one.state == MapState.RUNNING
    ]


def _schema(one: TableMap, side: Side) -> EnvironmentSchema:
    kept = remembered_tables(one.connection_set, side.value)
    tables = {name: table_from_json(document) for name, document in kept.items()}
    return EnvironmentSchema(side.value, tables)
