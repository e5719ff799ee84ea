"""The check before maps are run together: what would keep them, and what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from portal.checks.maps import by_severity
from portal.checks.sides import capturable, check_side, try_look_around
from portal.environments.models import ConnectionSet
from portal.maps.models import MapState, TableMap
from syncengine.mapping.model import HealthFinding, Severity, Side


@dataclass(frozen=True)
class StartingMap:
    """A map that would start, with its errors and warnings; `added` when only because
    another one depends on it."""

    table_map: TableMap
    added: bool
    findings: tuple[HealthFinding, ...]
    needs: tuple[str, ...] = ()
    """The maps it refers to."""


@dataclass(frozen=True)
class RunCheck:
    """What a run of maps of one connection set would meet. `systems` are findings
    about both systems; where one does not answer, `maps` is empty."""

    connection_set: ConnectionSet
    systems: tuple[HealthFinding, ...]
    maps: tuple[StartingMap, ...] = ()

    @property
    def findings(self) -> list[HealthFinding]:
        """Everything."""
        return [*self.systems, *(one for each in self.maps for one in each.findings)]

    @property
    def passed(self) -> bool:
        """True when nothing found blocks the run."""
        return all(one.severity is not Severity.ERROR for one in self.findings)


def inspect_run(maps: Sequence[TableMap], *, related: bool) -> list[RunCheck]:
    """What stands in the way of running `maps`, with `related` those they depend on
    too, for each connection set. Changes nothing and never raises."""
    ordered = sorted(maps, key=lambda one: one.connection_set_id)
    return [
        _inspect(list(together), related)
        for _, together in groupby(ordered, key=lambda one: one.connection_set_id)
    ]


def _inspect(maps: list[TableMap], related: bool) -> RunCheck:
    connection_set = maps[0].connection_set
    around, failure = try_look_around(connection_set)
    chosen = {one.name for one in maps if one.state == MapState.NOT_RUNNING}
    starting: list[str] = []
    definitions = []
    needs: Mapping[str, tuple[str, ...]] = {}
    if around is not None:
        wanted = [name for name in around.rows if name in chosen]
        if related:
            wanted = around.with_related(wanted)
        needs, places = around.needs(), around.order()
        starting = [
            name
            for name in sorted(wanted, key=places.__getitem__)
            if around.rows[name].state == MapState.NOT_RUNNING
        ]
        around = around.starting(starting)
        definitions = [m.definition for m in around.members.values() if m.active]
    sides = [
        check_side(
            connection_set.environment(side),
            down="DIPV1000",
            link=connection_set.link_id,
            tables=capturable(definitions, around, side),
            installed=False,
        )
        for side in Side
    ]
    systems = [finding for tested in sides for finding in tested.findings]
    if around is None:
        if failure is not None and not systems:
            systems.append(failure)
        return RunCheck(connection_set, by_severity(systems))
    return RunCheck(
        connection_set,
        by_severity(systems),
        tuple(
            StartingMap(
                around.rows[name],
                name not in chosen,
                tuple(
                    finding
                    for finding in around.findings(name)
                    if finding.severity is not Severity.INFO
                ),
                needs.get(name, ()),
            )
            for name in starting
        ),
    )
