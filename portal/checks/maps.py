"""The check of one map, of both systems as far as they matter to it, and what its
records depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.checks.sides import capturable, check_side, refused, try_look_around
from portal.environments.connectors import connector_for
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import Schemas, definition
from portal.refusals import Refusal
from syncengine.errors import EngineError
from syncengine.initial import read_request
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import Direction, HealthFinding, Severity, Side
from syncengine.mapping.model import TableMap as Definition


@dataclass(frozen=True)
class MapCheck:
    """What a check of a map found, errors first. `needs` are the maps that its
    lookups lead to, directly or through others, in the order of a run; `needed_by`
    those whose lookups lead to it."""

    findings: tuple[HealthFinding, ...]
    needs: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing found blocks a run."""
        return all(one.severity is not Severity.ERROR for one in self.findings)


def inspect_map(table_map: TableMap) -> MapCheck:
    """Everything wrong or notable about a map, as it would be if it ran now. First
    come the systems; only when both answer, the map itself. Changes nothing and never
    raises."""
    try:
        wanted = definition(table_map)
    except Refusal as refusal:
        return MapCheck((refused(refusal, table_map.name),))
    connection_set = table_map.connection_set
    around, failure = try_look_around(connection_set)
    sides = [
        check_side(
            connection_set.environment(side),
            down="DIPV1000",
            link=connection_set.link_id,
            tables=capturable([wanted], around, side),
            installed=table_map.state != MapState.NOT_RUNNING,
        )
        for side in Side
    ]
    findings = [finding for tested in sides for finding in tested.findings]
    if around is None:
        reached = all(tested.description is not None for tested in sides)
        if failure is not None and reached:
            findings.append(failure)
        return MapCheck(by_severity(findings))
    around = around.starting([table_map.name])
    findings += around.findings(table_map.name)
    if all(finding.severity is not Severity.ERROR for finding in findings):
        findings += _queries(table_map, wanted, around.schemas)
    needs = around.needs()
    related = around.with_related([table_map.name])
    return MapCheck(
        by_severity(findings),
        tuple(name for name in related if name != table_map.name),
        tuple(name for name, others in needs.items() if table_map.name in others),
    )


def _queries(
    table_map: TableMap, wanted: Definition, schemas: Schemas
) -> list[HealthFinding]:
    """1000: how both systems are asked for the records of the map."""
    pairs = table_map.connection_set.legal_entity_pairs()
    found = []
    for direction in Direction:
        if not wanted.flows(direction):
            continue
        source = table_map.connection_set.environment(direction.source)
        try:
            leg = compile_leg(
                wanted,
                direction,
                schemas[direction.source],
                schemas[direction.target],
                pairs,
            )
            with connector_for(source).reader() as reader:
                query = reader.query(read_request(leg))
        except EngineError:
            continue
        found.append(
            HealthFinding(
                "1000",
                Severity.INFO,
                f"Only records of {leg.source.name} that this query gives are carried "
                f"to {leg.target.name}.",
                leg.source.name,
                "Where a record is missing on the other side, look for it with the "
                "query.",
                query,
            )
        )
    return found


_ORDER: Mapping[Severity, int] = {one: number for number, one in enumerate(Severity)}


def by_severity(findings: Sequence[HealthFinding]) -> tuple[HealthFinding, ...]:
    """Errors first, each finding once."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda finding: _ORDER[finding.severity]))
