"""The legs that carry a unit's records; refuses where a map is between two states."""

from __future__ import annotations

from collections.abc import Sequence

from portal.environments.models import ConnectionSet
from portal.maps.models import Leg, TableMap
from portal.maps.preparation import definition, maps_of, read_schemas
from portal.refusals import Refusal
from syncengine.atomic import UnitRecord
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import Direction, Side
from syncengine.ports import LegMode


def live_legs(
    connection_set: ConnectionSet, records: Sequence[UnitRecord]
) -> list[CompiledLeg]:
    """All live legs of the tables that the records touch, of both directions.

    Refused where such a map queues its changes (paused, being copied): what waits in
    its queue is older than the unit and would come after it.
    """
    touched = {(record.side, record.table) for record in records}
    modes: dict[int, dict[Direction, LegMode]] = {}
    for map_id, direction, mode in Leg.objects.filter(
        table_map__connection_set=connection_set
    ).values_list("table_map_id", "direction", "mode"):
        modes.setdefault(map_id, {})[Direction(direction)] = LegMode(mode)
    chosen = [
        one
        for one in maps_of(connection_set)
        if any((side, definition(one).table(side)) in touched for side in Side)
    ]
    for one in chosen:
        _refuse_between(one, modes.get(one.pk, {}))
    used = [one for one in chosen if LegMode.LIVE in modes.get(one.pk, {}).values()]
    schemas = read_schemas(connection_set, [definition(one) for one in used])
    pairs = connection_set.legal_entity_pairs()
    return [
        compile_leg(
            definition(one),
            direction,
            schemas[direction.source],
            schemas[direction.target],
            pairs,
        )
        for one in used
        for direction in Direction
        if modes[one.pk].get(direction) is LegMode.LIVE
    ]


def _refuse_between(table_map: TableMap, modes: dict[Direction, LegMode]) -> None:
    if {LegMode.QUEUE, LegMode.DRAIN} & set(modes.values()):
        raise Refusal(
            f"{table_map.name} is {table_map.get_state_display()}: its queue holds "
            "older changes, so a unit cannot write its records now.",
            code="map_not_live",
            retryable=True,
        )
