"""From the control's configuration to legs that can run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from syncengine.contests import undecided_slots
from syncengine.errors import EngineError
from syncengine.live.grounds import Grounds, grounds_in
from syncengine.live.legs import LiveLeg, LookupCache
from syncengine.live.remembering import Tables
from syncengine.live.watching import Watched
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.compiler import CompilationError, compile_leg
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import (
    ConflictPolicy,
    Direction,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import EnvironmentSchema, TableSchema
from syncengine.ports import (
    Journal,
    LegConfiguration,
    LegMode,
    QueuedEntry,
    StreamConfiguration,
)

LegKey = tuple[TableMap, Direction, tuple[LegalEntityPair, ...]]


@dataclass(frozen=True)
class Configuration:
    """The legs of a stream at one revision."""

    revision: int
    legs: tuple[LiveLeg, ...]
    by_table: Mapping[str, tuple[LiveLeg, ...]]
    reverse: Mapping[int, CompiledLeg]
    """Opposite legs by map id, for settling conflicts."""
    both_live: frozenset[int] = frozenset()
    """Maps that flow both ways and of which nothing is queued."""

    @staticmethod
    def empty() -> Configuration:
        """Before the first one has been read."""
        return Configuration(-1, (), {}, {})

    def broken(self) -> Iterable[LiveLeg]:
        """Live legs whose tables do not fit their map."""
        return [
            leg
            for leg in self.legs
            if leg.problem and leg.configuration.mode is LegMode.LIVE
        ]

    def live(self) -> list[CompiledLeg]:
        """The compiled legs whose changes are applied at once."""
        return [
            leg.compiled
            for leg in self.legs
            if leg.compiled is not None and leg.configuration.mode is LegMode.LIVE
        ]

    def leg(self, map_id: int, direction: Direction, scope: int = 0) -> LiveLeg | None:
        """The leg of a map, or None when it is not in use."""
        wanted = (map_id, direction, scope)
        for leg in self.legs:
            one = leg.configuration
            if (one.map_id, one.direction, one.scope) == wanted:
                return leg
        return None

    def leg_of(
        self, map_id: int, direction: Direction, source_key: Row
    ) -> LiveLeg | None:
        """The leg that carries the record, where companies join: its company's."""
        for leg in self.legs:
            one, compiled = leg.configuration, leg.compiled
            if (
                (one.map_id, one.direction) == (map_id, direction)
                and one.scope
                and compiled is not None
                and compiled.source_company is not None
                and source_key
                and source_key[0] in compiled.companies
            ):
                return leg
        return self.leg(map_id, direction)

    def note_queued(self, entries: Iterable[QueuedEntry]) -> None:
        """Remember how far the queues of our legs reach now."""
        newest: dict[tuple[int, Direction, int], str] = {}
        for entry in entries:
            newest[entry.map_id, entry.direction, entry.scope] = entry.position
        for (map_id, direction, scope), position in newest.items():
            leg = self.leg(map_id, direction, scope)
            if leg is not None:
                leg.configuration = replace(leg.configuration, queued_through=position)


class Configurator:
    """Compiles legs on the present schemas; keeps those that have not changed."""

    def __init__(
        self, source: Tables, target: Tables, cache: LookupCache, journal: Journal
    ) -> None:
        self._journal = journal
        self._source = source
        self._target = target
        self._cache = cache
        self._compiled: dict[LegKey, CompiledLeg] = {}
        self._grounds: dict[LegKey, Grounds] = {}
        self._changes: dict[LegKey, tuple[str, ...]] = {}
        self._former: dict[LegKey, Grounds] = {}
        self._news: dict[str, None] = {}

    def configure(
        self, wanted: StreamConfiguration, present: Configuration
    ) -> Configuration:
        """The legs of `wanted`, ready to run. Raises OutageError and SetupError."""
        active = [leg for leg in wanted.legs if leg.mode is not LegMode.OFF]
        others = [leg for leg in wanted.reverse_legs if leg.mode is not LegMode.OFF]
        pairs = wanted.legal_entities
        schemas = self._schemas(
            [(leg.table_map, leg.direction, _scoped(leg, pairs)) for leg in active]
            + [(leg.table_map, leg.direction, pairs) for leg in others]
        )
        legs = tuple(self._leg(one, pairs, schemas, present) for one in active)
        by_table: dict[str, tuple[LiveLeg, ...]] = {}
        for leg in legs:
            if leg.configuration.scope and leg.global_table:
                continue
            table = self._source_table(leg, schemas[0])
            by_table[table] = (*by_table.get(table, ()), leg)
        reverse: dict[int, CompiledLeg] = {}
        for one in others:
            compiled, _ = self._compile(one, pairs, schemas[1], schemas[0])
            if compiled is not None:
                reverse[one.map_id] = compiled
        self._load_undecided(legs, reverse)
        both = {one.map_id for one in active} & {one.map_id for one in others}
        both -= {
            one.map_id for one in (*active, *others) if one.mode is not LegMode.LIVE
        }
        return Configuration(wanted.revision, legs, by_table, reverse, frozenset(both))

    def _load_undecided(
        self, legs: Iterable[LiveLeg], reverse: Mapping[int, CompiledLeg]
    ) -> None:
        """What waits for a person, by the record's key on the source."""
        for leg in legs:
            configuration = leg.configuration
            leg.undecided, leg.held = {}, {}
            if (
                configuration.table_map.conflict is not ConflictPolicy.MANUAL
                or leg.compiled is None
            ):
                continue
            finops = configuration.direction.source is Side.FINOPS
            back = reverse.get(configuration.map_id)
            for one in self._journal.undecided(configuration.map_id):
                key = one.finops_key if finops else one.dataverse_key
                leg.undecided.setdefault(key, []).append(one)
                held = undecided_slots(leg.compiled, back, one)
                leg.held[key] = leg.held.get(key, frozenset()) | held

    def watched(self, present: Configuration) -> Watched:
        """The tables that the legs stand on."""
        compiled = [leg.compiled for leg in present.legs if leg.compiled is not None]
        ids = {id(leg) for leg in compiled}
        grounds = [
            self._grounds[key] for key, leg in self._compiled.items() if id(leg) in ids
        ]
        return Watched(
            source=_merged(ground.source for ground in grounds),
            target=_merged(ground.target for ground in grounds),
            captured=sorted({leg.source.name for leg in compiled}),
            incomplete=len(compiled) < len(present.legs),
        )

    def refresh(self, present: Configuration) -> bool:
        """Read the tables of all legs again; True when a table that a leg was compiled
        on has changed or gone: configure again, and
        then `take_news` tells what it was."""
        if not present.legs:
            return False
        maps = {key[0] for key in self._compiled}
        maps |= {leg.configuration.table_map for leg in present.legs}
        stale = self._stale(maps, list(self._compiled))
        for key in stale:
            self._former.setdefault(key, self._grounds[key])
            del self._compiled[key], self._grounds[key]
        return bool(stale)

    def take_news(self) -> list[str]:
        """What was changed since this was last asked, in words; of a map that flows
        both ways one of its two streams tells it."""
        news = list(self._news)
        self._news.clear()
        return news

    def drifted(self, leg: LiveLeg) -> bool:
        """True when a table this leg was compiled on is no longer as it was."""
        keys = [key for key, one in self._compiled.items() if one is leg.compiled]
        return bool(keys) and bool(self._stale({keys[0][0]}, keys))

    def _stale(
        self, maps: Collection[TableMap], keys: Sequence[LegKey]
    ) -> list[LegKey]:
        """Those of the compiled legs whose tables have changed."""
        tables = {
            connector.settings.side: connector.tables(_tables(maps, connector))
            for connector in (self._source, self._target)
        }
        return [
            key
            for key in keys
            if not self._grounds[key].stand(
                tables[key[1].source], tables[key[1].target]
            )
        ]

    def _told(
        self, key: LegKey, source: EnvironmentSchema, target: EnvironmentSchema
    ) -> tuple[str, ...]:
        """What was changed under a leg since it was compiled; new ones are news."""
        former = self._former.get(key)
        if former is None:
            return ()
        said = tuple(former.changes(source, target))
        table_map, direction, _ = key
        if said != self._changes.get(key):
            self._changes[key] = said
            if _first(table_map) is direction and (
                direction.source is self._source.settings.side
            ):
                self._news.update(dict.fromkeys(said))
        return said

    def _schemas(
        self, wanted: Collection[LegKey]
    ) -> tuple[EnvironmentSchema, EnvironmentSchema]:
        """Both schemas with the tables of legs that are not compiled yet."""
        new = [key[0] for key in wanted if key not in self._compiled]
        source, target = self._source.settings.side, self._target.settings.side
        if not new:
            return EnvironmentSchema(source.value, {}), EnvironmentSchema(
                target.value, {}
            )
        return (
            self._source.tables(_tables(new, self._source)),
            self._target.tables(_tables(new, self._target)),
        )

    def _leg(
        self,
        configuration: LegConfiguration,
        legal_entities: tuple[LegalEntityPair, ...],
        schemas: tuple[EnvironmentSchema, EnvironmentSchema],
        present: Configuration,
    ) -> LiveLeg:
        pairs = _scoped(configuration, legal_entities)
        compiled, problem = self._compile(configuration, pairs, *schemas)
        former = present.leg(
            configuration.map_id, configuration.direction, configuration.scope
        )
        if former is not None and compiled is not None and former.compiled is compiled:
            former.configuration = configuration
            return former
        resolved = (
            [self._cache.table(lookup) for lookup in compiled.source_lookups]
            if compiled is not None
            else []
        )
        return LiveLeg(configuration, compiled, resolved, problem)

    def _compile(
        self,
        configuration: LegConfiguration,
        legal_entities: tuple[LegalEntityPair, ...],
        source: EnvironmentSchema,
        target: EnvironmentSchema,
    ) -> tuple[CompiledLeg | None, str]:
        key = (configuration.table_map, configuration.direction, legal_entities)
        found = self._compiled.get(key)
        if found is not None:
            return found, ""
        said = self._told(key, source, target)
        try:
            compiled = compile_leg(
                configuration.table_map,
                configuration.direction,
                source,
                target,
                legal_entities,
            )
        except CompilationError as error:
            first = error.findings[0]
            return None, " ".join((f"{first.code}: {first.message}", *said))
        except EngineError as error:
            return None, " ".join((f"{error.code}: {error.message}", *said))
        self._compiled[key] = compiled
        self._grounds[key] = grounds_in(compiled, source, target)
        self._changes.pop(key, None)
        self._former.pop(key, None)
        return compiled, ""

    @staticmethod
    def _source_table(leg: LiveLeg, source: EnvironmentSchema) -> str:
        """The table's name as the stream reports it."""
        if leg.compiled is not None:
            return leg.compiled.source.name
        configuration = leg.configuration
        name = configuration.table_map.table(configuration.direction.source)
        table = source.table(name)
        return table.name if table is not None else name


def _scoped(
    configuration: LegConfiguration, legal_entities: tuple[LegalEntityPair, ...]
) -> tuple[LegalEntityPair, ...]:
    """The companies that the leg carries."""
    chosen = configuration.companies
    if chosen is None:
        return legal_entities
    return tuple(pair for pair in legal_entities if pair.finops in chosen)


def _first(table_map: TableMap) -> Direction:
    return next(one for one in Direction if table_map.flows(one))


def _merged(
    several: Iterable[Mapping[str, TableSchema]],
) -> dict[str, TableSchema]:
    return {name: table for tables in several for name, table in tables.items()}


def _tables(maps: Collection[TableMap], connector: Tables) -> list[str]:
    side = connector.settings.side
    names = {table_map.table(side) for table_map in maps}
    for table_map in maps:
        names.update(lookup_tables(table_map, side))
    rule = connector.settings.company
    if rule is not None and rule.lookup_table:
        names.add(rule.lookup_table)
    return sorted(names)
