"""The health check: everything that keeps a connection set from working, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils import timezone

from portal.environments.models import ConnectionSet, Environment, StreamState
from portal.environments.queries import linked_set
from portal.environments.services import ConnectionTest, check_environment
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import (
    capture_tables,
    definition,
    maps_of,
    read_schemas,
    validate,
)
from portal.maps.queries import stream_state
from portal.refusals import Refusal
from syncengine.mapping.model import HealthFinding, Severity, Side
from syncengine.mapping.model import TableMap as Definition


@dataclass(frozen=True)
class SetCheck:
    """What a check of a connection set found: on each side, and with its maps and
    streams."""

    sides: Mapping[Side, ConnectionTest]
    others: tuple[HealthFinding, ...]

    @property
    def findings(self) -> list[HealthFinding]:
        """Everything, side by side."""
        return [
            *(finding for side in self.sides.values() for finding in side.findings),
            *self.others,
        ]


def check_connection_set(connection_set: ConnectionSet) -> SetCheck:
    """Reach both systems, check what capture needs for the maps in use (for all maps
    while none is: a run installs it), validate all maps, and look after the streams.
    Changes nothing."""
    maps = maps_of(connection_set)
    definitions = [definition(table_map) for table_map in maps]
    in_use = _in_use(maps)
    sides = {
        side: _check_side(connection_set, side, definitions, in_use) for side in Side
    }
    findings: list[HealthFinding] = []
    if connection_set.retired_at is not None:
        findings.append(
            HealthFinding(
                "being_unlinked",
                Severity.ERROR,
                "The connection set was unlinked only in part; its maps cannot run.",
                place=connection_set.name,
                cure="Unlink it again to finish.",
            )
        )
    if all(tested.description is not None for tested in sides.values()):
        try:
            schemas = read_schemas(connection_set, definitions)
        except Refusal as refusal:
            findings.append(
                HealthFinding(
                    refusal.code,
                    Severity.ERROR,
                    refusal.message,
                    place=connection_set.name,
                )
            )
        else:
            for one in definitions:
                findings += _placed(
                    validate(connection_set, one, schemas),
                    f"{connection_set.name}/{one.name}",
                )
    if in_use:
        findings += _streams(connection_set)
    return SetCheck(sides, tuple(findings))


def check_alone(environment: Environment) -> ConnectionTest:
    """The check of one environment: for what its connection set needs of it, or,
    while it is not linked, for what any would need. Changes nothing."""
    connection_set = linked_set(environment)
    if connection_set is None:
        return check_environment(environment, unlinked=True)
    maps = maps_of(connection_set)
    return _check_side(
        connection_set,
        environment.side,
        [definition(table_map) for table_map in maps],
        _in_use(maps),
    )


def administrator_script(findings: Sequence[HealthFinding]) -> str:
    """All statements that findings ask a database administrator to run, each once."""
    statements = [
        statement
        for finding in findings
        for statement in finding.script.split(";\n")
        if statement.strip()
    ]
    return "".join(f"{statement};\n" for statement in dict.fromkeys(statements))


def _in_use(maps: Sequence[TableMap]) -> list[Definition]:
    return [
        definition(table_map)
        for table_map in maps
        if table_map.state != MapState.NOT_RUNNING
    ]


def _check_side(
    connection_set: ConnectionSet,
    side: Side,
    definitions: Sequence[Definition],
    in_use: Sequence[Definition],
) -> ConnectionTest:
    environment = connection_set.environment(side)
    tested = check_environment(
        environment,
        link=connection_set.link_id,
        tables=capture_tables(in_use or definitions, side),
        installed=bool(in_use),
    )
    return replace(tested, findings=_placed(tested.findings, environment.name))


def _placed(findings: Sequence[HealthFinding], name: str) -> tuple[HealthFinding, ...]:
    return tuple(
        replace(
            finding,
            place=finding.place
            if finding.place.startswith(name)
            else f"{name} {finding.place}".strip(),
        )
        for finding in findings
    )


def _streams(connection_set: ConnectionSet) -> list[HealthFinding]:
    now = timezone.now()
    findings = []
    for stream in connection_set.streams.all():
        state = stream_state(stream, now)
        if state is StreamState.RUNNING:
            continue
        failed = state in (StreamState.DOWN, StreamState.STOPPED)
        findings.append(
            HealthFinding(
                code=f"stream_{state.value}",
                severity=Severity.ERROR if failed else Severity.WARNING,
                message=f"The stream from {stream.source} is {state.label.lower()}"
                f"{': ' + stream.message if stream.message else '.'}",
                place=connection_set.name,
                cure="Make sure that a worker and beat are running." if failed else "",
            )
        )
    return findings
