"""What the health check of maps looks at, gathered from the portal and both systems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import structlog

from portal.environments.connectors import connector_for
from portal.environments.identity import other_system
from portal.environments.models import ConnectionSet
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import (
    Schemas,
    definition,
    maps_of,
    naming,
    read_schemas,
)
from portal.refusals import ValidationRefused
from syncengine import catalog
from syncengine.connectors.base import Connector, ReadRequest
from syncengine.errors import EngineError
from syncengine.mapping.dependencies import in_order, prerequisites, with_prerequisites
from syncengine.mapping.health import Member, Subject, examine
from syncengine.mapping.model import (
    Direction,
    HealthFinding,
    LegalEntityPair,
    Severity,
    Side,
)
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.schema import EnvironmentSchema

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Warned:
    """A warning about one map."""

    map_name: str
    finding: HealthFinding


@dataclass(frozen=True)
class Surroundings:
    """All maps of a connection set that have a version, by name, and what both
    systems say of their tables."""

    rows: Mapping[str, TableMap]
    members: Mapping[str, Member]
    schemas: Schemas
    companies: Mapping[Side, tuple[str, ...]]
    legal_entities: tuple[LegalEntityPair, ...]
    misplaced: tuple[HealthFinding, ...] = ()
    """A finding for each side where another system answers than was linked."""

    def needs(self) -> dict[str, tuple[str, ...]]:
        """For each map the maps that its lookups lead to."""
        maps = [member.definition for member in self.members.values()]
        return prerequisites(maps, self.schemas)

    def order(self) -> dict[str, int]:
        """Every map's place in the order of a run."""
        return {name: place for place, name in enumerate(in_order(self.needs()), 1)}

    def with_related(self, names: Iterable[str]) -> list[str]:
        """The named maps with all they depend on, in order."""
        return with_prerequisites(list(names), self.needs())

    def starting(self, names: Iterable[str]) -> Surroundings:
        """The same as it will be once these maps run."""
        members = dict(self.members)
        for name in names:
            members[name] = replace(members[name], active=True)
        return replace(self, members=members)

    def findings(self, name: str) -> list[HealthFinding]:
        """Everything wrong or notable about one map."""
        return examine(
            Subject(
                self.members[name],
                self.schemas,
                self.legal_entities,
                tuple(m for other, m in self.members.items() if other != name),
                self.companies,
                ready_made_by_table(),
            ),
            on_failure=lambda error: log.error("check_failed", exc_info=error),
        )

    def refuse_without_version(self, maps: Sequence[TableMap]) -> None:
        """Refuse a map that has nothing to run."""
        for table_map in maps:
            if table_map.name not in self.rows:
                definition(table_map)

    def refuse_invalid(self, names: Sequence[str]) -> list[Warned]:
        """Refuse with everything that keeps any of these maps from running; gives
        what they are warned of when they may run together."""
        together = self.starting(names)
        found = {name: together.findings(name) for name in names}
        blocking = {name: _of(Severity.ERROR, each) for name, each in found.items()}
        broken = [name for name, findings in blocking.items() if findings]
        findings = [*self.misplaced, *(f for name in broken for f in blocking[name])]
        if findings:
            raise ValidationRefused(
                f"{', '.join(broken or names)} cannot run: {len(findings)} "
                f"{'finding' if len(findings) == 1 else 'findings'}.",
                findings,
            )
        return [
            Warned(name, finding)
            for name, each in found.items()
            for finding in _of(Severity.WARNING, each)
        ]


def look_around(connection_set: ConnectionSet) -> Surroundings:
    """Read all maps of the set and the tables of both systems. Refuses when a system
    cannot be used, naming it."""
    rows = {row.name: row for row in maps_of(connection_set)}
    members = {
        name: member_of(definition(row), row.state != MapState.NOT_RUNNING)
        for name, row in rows.items()
    }
    return survey(connection_set, rows, members, connection_set.legal_entity_pairs())


def survey(
    connection_set: ConnectionSet,
    rows: Mapping[str, TableMap],
    members: Mapping[str, Member],
    legal_entities: tuple[LegalEntityPair, ...],
) -> Surroundings:
    """What both systems say of the tables of these maps. The set need not be stored:
    only its environments are looked at. Refuses when a system cannot be used, naming
    it."""
    schemas = read_schemas(connection_set, [m.definition for m in members.values()])
    companies: dict[Side, tuple[str, ...]] = {}
    misplaced = []
    for side in Side:
        environment = connection_set.environment(side)
        connector = connector_for(environment)
        with naming(environment.name):
            finding = other_system(environment, connector.describe())
        if finding is not None:
            misplaced.append(finding)
        if (listed := list_companies(connector, schemas[side])) is not None:
            companies[side] = listed
    return Surroundings(
        rows,
        members,
        schemas,
        companies,
        legal_entities,
        tuple(misplaced),
    )


def list_companies(
    connector: Connector, schema: EnvironmentSchema
) -> tuple[str, ...] | None:
    """The codes of all companies of a system, as they are stored; None where it has
    no list of them, or none that our account may read."""
    place = schema.company_list
    if place is None:
        return None
    table, column = place
    try:
        with connector.reader() as reader:
            rows = [
                row
                for part in reader.read(ReadRequest(table, (column,)))
                for row in part
            ]
    except EngineError:
        return None
    return tuple((code or "").rstrip(" ") for (code,) in rows)


def member_of(table_map: Definition, active: bool) -> Member:
    """The map as the checks look at it, beside the ready-made one of its tables."""
    tables = (table_map.finops_table.casefold(), table_map.dataverse_table.casefold())
    return Member(table_map, active, _published().get(tables))


def _of(severity: Severity, findings: Iterable[HealthFinding]) -> list[HealthFinding]:
    return [finding for finding in findings if finding.severity is severity]


@cache
def _published() -> dict[tuple[str, str], Definition]:
    """The ready-made maps by their two tables, in lower case."""
    return {
        (entry.finops_table.casefold(), entry.dataverse_table.casefold()): (
            catalog.table_map(entry)
        )
        for entry in catalog.entries()
    }


@cache
def ready_made_by_table() -> dict[str, str]:
    """The ready-made maps that fill a Dataverse table, by that table."""
    names: dict[str, list[str]] = {}
    for entry in catalog.entries():
        if Direction.FINOPS_TO_DATAVERSE in entry.directions:
            names.setdefault(entry.dataverse_table.casefold(), []).append(entry.name)
    return {table: " or ".join(found) for table, found in names.items()}
