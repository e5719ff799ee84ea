"""The health check: everything that keeps a connection set from working, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.utils import timezone

from portal.environments.models import ConnectionSet, StreamState
from portal.environments.services import check_environment
from portal.maps.models import MapState
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


def check_connection_set(connection_set: ConnectionSet) -> list[HealthFinding]:
    """Reach both systems, check what capture needs for the maps in use (for all maps
    while none is: a run installs it), validate all maps, and look after the streams.
    Changes nothing."""
    maps = maps_of(connection_set)
    definitions = [definition(table_map) for table_map in maps]
    in_use = [
        definition(table_map)
        for table_map in maps
        if table_map.state != MapState.NOT_RUNNING
    ]
    findings: list[HealthFinding] = []
    reachable = True
    for side in Side:
        environment = connection_set.environment(side)
        tested = check_environment(
            environment,
            link=connection_set.link_id,
            tables=capture_tables(in_use or definitions, side),
            installed=bool(in_use),
        )
        reachable = reachable and tested.description is not None
        findings += _placed(tested.findings, environment.name)
    if reachable:
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
    return findings


def _placed(findings: Sequence[HealthFinding], name: str) -> list[HealthFinding]:
    return [
        replace(
            finding,
            place=finding.place
            if finding.place.startswith(name)
            else f"{name} {finding.place}".strip(),
        )
        for finding in findings
    ]


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
