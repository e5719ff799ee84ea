"""Which maps refer to others: they are offered when those are paused, stopped or
resumed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from portal.environments.models import ConnectionSet
from portal.maps import preparation
from portal.maps.models import MapState, TableMap
from portal.sync.set_aside import remembered_tables
from syncengine.mapping.dependencies import prerequisites, with_prerequisites
from syncengine.mapping.model import Side
from syncengine.mapping.schema import EnvironmentSchema
from syncengine.mapping.schema_json import table_from_json


def running_dependents(maps: Sequence[TableMap]) -> list[TableMap]:
    """Running maps whose lookups lead, directly or through others, to one of `maps`.
    Asks neither system: it goes by their tables as the streams last saw them."""
    found: list[TableMap] = []
    for chosen in _by_set(maps):
        found += _of_set(chosen)
    return found


def paused_prerequisites(maps: Sequence[TableMap]) -> list[TableMap]:
    """Paused maps that the lookups of `maps` lead to, directly or through others: what
    refers to their queued records fails until they go on too."""
    found: list[TableMap] = []
    for chosen in _by_set(maps):
        rows, needs = _needs(chosen[0].connection_set)
        wanted = {one.name for one in chosen}
        reached = set(with_prerequisites([n for n in needs if n in wanted], needs))
        found += [
            one
            for name, one in rows.items()
            if name in reached - wanted and one.state == MapState.PAUSED
        ]
    return found


def _by_set(maps: Sequence[TableMap]) -> list[list[TableMap]]:
    by_set: dict[int, list[TableMap]] = defaultdict(list)
    for one in maps:
        by_set[one.connection_set_id].append(one)
    return list(by_set.values())


def _needs(
    connection_set: ConnectionSet,
) -> tuple[dict[str, TableMap], Mapping[str, Sequence[str]]]:
    """The maps of the set by name, and which of them each refers to."""
    rows = {one.name: one for one in preparation.maps_of(connection_set)}
    needs = prerequisites(
        [preparation.definition(one) for one in rows.values()],
        {side: _schema(connection_set, side) for side in Side},
    )
    return rows, needs


def _of_set(chosen: Sequence[TableMap]) -> list[TableMap]:
    rows, needs = _needs(chosen[0].connection_set)
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


def _schema(connection_set: ConnectionSet, side: Side) -> EnvironmentSchema:
    kept = remembered_tables(connection_set, side.value)
    tables = {name: table_from_json(document) for name, document in kept.items()}
    return EnvironmentSchema(side.value, tables)
