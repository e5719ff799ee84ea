"""The check of a connection set: everything that keeps it from working, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.utils import timezone

from portal.checks.sides import capturable, check_side, leftovers, try_look_around
from portal.environments.models import ConnectionSet, Environment, StreamState
from portal.environments.queries import linked_set
from portal.environments.services import ConnectionTest
from portal.maps.health import Surroundings
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import definition, maps_of
from portal.maps.queries import stream_state
from syncengine.mapping.health.link import clocks, differing_companies, side_code
from syncengine.mapping.model import ConflictPolicy, HealthFinding, Severity, Side

REPEATED = frozenset({"DIPV1008"})
"""What each map would say again of a thing that the set says once."""


@dataclass(frozen=True)
class SetCheck:
    """What a check of a connection set found: on each side, about the link as a whole
    and its streams, and about its maps by name. Where a system does not answer, the
    maps are not looked at and `whole` is false."""

    name: str
    sides: Mapping[Side, ConnectionTest]
    link: tuple[HealthFinding, ...] = ()
    maps: Mapping[str, tuple[HealthFinding, ...]] = field(default_factory=dict)
    whole: bool = True

    def by_map(self) -> list[tuple[str, HealthFinding]]:
        """Everything, side by side, then map by map, each with the name of its map
        or none."""
        findings = [
            *(finding for side in self.sides.values() for finding in side.findings),
            *self.link,
        ]
        return [
            *(("", finding) for finding in findings),
            *(
                (name, finding)
                for name, found in self.maps.items()
                for finding in placed(found, f"{self.name}/{name}")
            ),
        ]

    @property
    def findings(self) -> list[HealthFinding]:
        """Everything."""
        return [finding for _, finding in self.by_map()]

    @property
    def passed(self) -> bool:
        """True when nothing found blocks a run."""
        return all(one.severity is not Severity.ERROR for one in self.findings)


def inspect_connection_set(connection_set: ConnectionSet) -> SetCheck:
    """Reach both systems, check what capture needs for the maps in use (for all maps
    while none is: a run installs it); then, where both answer, compare the companies,
    look for what former links left, check all maps, and look after the streams.
    Changes nothing and never raises."""
    maps = maps_of(connection_set)
    link = [] if connection_set.retired_at is None else [_retired(connection_set)]
    around, failure = try_look_around(connection_set)
    sides = {side: _check_side(connection_set, side, maps, around) for side in Side}
    reached = all(tested.description is not None for tested in sides.values())
    if failure is not None and reached:
        link.append(failure)
    found: dict[str, tuple[HealthFinding, ...]] = {}
    if around is not None:
        link += _companies(connection_set, around)
        found = _maps(around)
    link += _clocks(connection_set, sides, maps)
    if any(table_map.state != MapState.NOT_RUNNING for table_map in maps):
        link += _streams(connection_set)
    return SetCheck(
        connection_set.name, sides, tuple(link), found, whole=around is not None
    )


def _clocks(
    connection_set: ConnectionSet,
    sides: Mapping[Side, ConnectionTest],
    maps: Sequence[TableMap],
) -> list[HealthFinding]:
    skews = {
        side: tested.description.clock_skew_seconds
        for side, tested in sides.items()
        if tested.description is not None
    }
    if len(skews) < len(Side):
        return []
    names = {side: connection_set.environment(side).name for side in Side}
    later_wins = [
        one.name
        for one in maps
        if definition(one).conflict is ConflictPolicy.LAST_WRITER_WINS
    ]
    return clocks(skews, names, later_wins)


def check_alone(environment: Environment) -> ConnectionTest:
    """The check of one environment: for what its connection set needs of it, or,
    while it is not linked, for what any would need. Changes nothing."""
    connection_set = linked_set(environment)
    if connection_set is not None:
        maps = maps_of(connection_set)
        return _check_side(connection_set, environment.side, maps, None)
    tested = check_side(environment, down=side_code(environment.side, 1001))
    return _with_leftovers(environment, tested)


def administrator_script(findings: Sequence[HealthFinding]) -> str:
    """All statements that findings ask a database administrator to run, each once.
    What was left behind is not among them: another portal may use it."""
    statements = [
        statement
        for finding in findings
        if finding.code not in LEFT
        for statement in finding.script.split(";\n")
        if statement.strip()
    ]
    return "".join(f"{statement};\n" for statement in dict.fromkeys(statements))


LEFT = frozenset(side_code(side, 1004) for side in Side)


def _check_side(
    connection_set: ConnectionSet,
    side: Side,
    maps: Sequence[TableMap],
    around: Surroundings | None,
) -> ConnectionTest:
    environment = connection_set.environment(side)
    in_use = [one for one in maps if one.state != MapState.NOT_RUNNING]
    definitions = [definition(one) for one in in_use or maps]
    tested = check_side(
        environment,
        down=side_code(side, 1001),
        link=connection_set.link_id,
        tables=capturable(definitions, around, side),
        installed=bool(in_use),
    )
    return _with_leftovers(environment, tested)


def _with_leftovers(environment: Environment, tested: ConnectionTest) -> ConnectionTest:
    findings = list(tested.findings)
    if tested.description is not None:
        findings += leftovers(environment)
    return replace(tested, findings=placed(findings, environment.name))


def placed(findings: Sequence[HealthFinding], name: str) -> tuple[HealthFinding, ...]:
    """The findings with `name` in front of their places, where it is not yet."""
    return tuple(
        replace(
            finding,
            place=finding.place
            if finding.place.startswith(name)
            else f"{name} {finding.place}".strip(),
        )
        for finding in findings
    )


def _retired(connection_set: ConnectionSet) -> HealthFinding:
    return HealthFinding(
        "being_unlinked",
        Severity.ERROR,
        "The connection set was unlinked only in part; its maps cannot run.",
        place=connection_set.name,
        cure="Unlink it again to finish.",
    )


def _companies(
    connection_set: ConnectionSet, around: Surroundings
) -> list[HealthFinding]:
    return [
        finding
        for side, known in around.companies.items()
        for finding in differing_companies(
            side,
            connection_set.environment(side).name,
            [pair.on(side) for pair in around.legal_entities],
            known,
        )
    ]


def _maps(around: Surroundings) -> dict[str, tuple[HealthFinding, ...]]:
    """Errors and warnings of each map; what is only good to know is on its own page.
    That a map needs another one that does not run matters once it runs itself."""
    found = {}
    for name, member in around.members.items():
        findings = tuple(
            finding
            for finding in around.findings(name)
            if finding.severity is not Severity.INFO
            and finding.code not in REPEATED
            and (member.active or finding.code != "VMAP104")
        )
        if findings:
            found[name] = findings
    return found


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
