"""A map's two compiled legs with the connectors they run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portal.environments.connectors import connector_for
from portal.maps.conversion import to_engine
from portal.maps.models import TableMap
from portal.refusals import Refusal
from syncengine.connectors.base import Connector
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.schema import EnvironmentSchema


@dataclass(frozen=True)
class MapLegs:
    """What a copy, a comparison or a preview of one map works with. `legs` has only
    directions the map flows in."""

    table_map_id: int
    link: str
    definition: Definition
    connectors: dict[Side, Connector]
    legs: dict[Direction, CompiledLeg]

    @property
    def to_dataverse(self) -> CompiledLeg | None:
        """The leg that writes Dataverse, if any column flows there."""
        return self.legs.get(Direction.FINOPS_TO_DATAVERSE)

    @property
    def to_finops(self) -> CompiledLeg | None:
        """The leg that writes finance and operations, if any column flows there."""
        return self.legs.get(Direction.DATAVERSE_TO_FINOPS)


def load_legs(
    table_map: TableMap,
    schemas: Mapping[Side, EnvironmentSchema] | None = None,
    draft: Definition | None = None,
) -> MapLegs:
    """Read both systems' schemas, unless they are given, and compile the map's current
    version, or a `draft` in its place.

    Raises CompilationError when the map does not fit the tables, OutageError or
    SetupError when a system cannot be used.
    """
    if draft is None and table_map.version is None:
        raise Refusal(f"{table_map.name} has no version yet.", code="no_version")
    connection_set = table_map.connection_set
    definition = draft or to_engine(table_map.version)
    connectors = {
        side: connector_for(connection_set.environment(side)) for side in Side
    }
    schemas = schemas or {
        side: connector.tables(
            [definition.table(side), *lookup_tables(definition, side)]
        )
        for side, connector in connectors.items()
    }
    pairs = connection_set.legal_entity_pairs()
    legs = {
        direction: compile_leg(
            definition,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            pairs,
        )
        for direction in Direction
        if definition.flows(direction)
    }
    return MapLegs(table_map.pk, connection_set.link_id, definition, connectors, legs)


def with_legs(pk: int) -> TableMap:
    """The map with all that `load_legs` reads."""
    return TableMap.objects.select_related(
        "version__table_map", "connection_set__finops", "connection_set__dataverse"
    ).get(pk=pk)
