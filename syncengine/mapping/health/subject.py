"""What the checks of a map may look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from syncengine.errors import EngineError
from syncengine.mapping import filters
from syncengine.mapping.filters import Expression
from syncengine.mapping.model import (
    ColumnMap,
    Direction,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import EnvironmentSchema, TableSchema


@dataclass(frozen=True)
class Member:
    """One map of a connection set. `active` in every state but Not running, and where
    it is about to run. `published` is the ready-made map between the same two tables,
    if there is one."""

    definition: TableMap
    active: bool = False
    published: TableMap | None = None

    @property
    def as_published(self) -> bool:
        """True when directions and filters are those of the ready-made map: what
        follows from them was meant so."""
        return self.published is not None and all(
            self.definition.flows(Direction.from_source(side))
            == self.published.flows(Direction.from_source(side))
            and filter_of(self.definition, side) == filter_of(self.published, side)
            for side in Side
        )


@dataclass(frozen=True)
class Subject:
    """A map with its surroundings. `others` are the other maps of its connection set.
    `companies` has, for a side that keeps a list of its companies, their codes.
    `ready_made` names, by Dataverse table in lower case, the ready-made map that
    fills it."""

    member: Member
    schemas: Mapping[Side, EnvironmentSchema]
    legal_entities: tuple[LegalEntityPair, ...] = ()
    others: tuple[Member, ...] = ()
    companies: Mapping[Side, tuple[str, ...]] = field(default_factory=dict)
    ready_made: Mapping[str, str] = field(default_factory=dict)

    @property
    def definition(self) -> TableMap:
        """The map itself."""
        return self.member.definition

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions the map flows in."""
        return tuple(way for way in Direction if self.definition.flows(way))

    def table(self, side: Side) -> TableSchema | None:
        """The mapped table on `side`, if it is there."""
        return self.schemas[side].table(self.definition.table(side))

    def lines(self, direction: Direction) -> Iterator[ColumnMap]:
        """The column maps that flow in `direction`."""
        return (c for c in self.definition.columns if c.type.flows(direction))


def filter_of(definition: TableMap, side: Side) -> Expression | None:
    """The map's filter on `side` whatever the case of names and values; None for a
    blank one, and for one that cannot be read, which is reported by itself."""
    try:
        return filters.parse_filter(side, definition.filter(side).casefold())
    except EngineError:
        return None
