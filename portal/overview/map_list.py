"""The list of maps as its page asks for it: filtered and grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal import labels
from portal.maps.models import MapState
from portal.maps.ready_made import OWN, packages_of
from portal.overview import queries
from portal.overview.status import MapStatus

GROUPS = {
    "none": "Nothing",
    "package": "Package",
    "set": "Connection set",
    "state": "State",
}
FEW = 25
"""So many maps need no groups unless asked for."""


@dataclass(frozen=True)
class MapFilter:
    """What the list is narrowed to, and what it is grouped by."""

    text: str = ""
    connection_set: str = ""
    state: str = ""
    health: str = ""
    package: str = ""
    group: str = ""

    @staticmethod
    def read(values: Mapping[str, str]) -> MapFilter:
        """From a query string; what is unknown is left out."""
        health = values.get("health", "")
        group = values.get("group", "")
        state = values.get("state", "")
        return MapFilter(
            text=values.get("q", "").strip(),
            connection_set=values.get("set", "").strip(),
            state=state if state in MapState.values else "",
            health=health if health in labels.HEALTH else "",
            package=values.get("package", "").strip(),
            group=group if group in GROUPS else "",
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(
            self.text
            or self.connection_set
            or self.state
            or self.health
            or self.package
        )


@dataclass(frozen=True)
class MapGroup:
    """Maps that have something in common; without a name, all."""

    name: str
    rows: Sequence[MapStatus]


@dataclass(frozen=True)
class MapList:
    """The maps that match, in their groups. `packages` are those there are."""

    groups: Sequence[MapGroup]
    packages: Sequence[str]
    group: str

    @property
    def rows(self) -> list[MapStatus]:
        """All maps that match."""
        return [row for group in self.groups for row in group.rows]


def map_list(filters: MapFilter, user: Any = None) -> MapList:
    """The maps that match, in the order they run within their groups. Many are
    grouped by package unless asked otherwise."""
    rows = queries.map_statuses(
        connection_set=filters.connection_set,
        state=filters.state,
        search=filters.text,
        user=user,
    )
    packages = packages_of(row.map for row in rows)
    known = sorted(set(packages.values()) - {OWN})
    if OWN in packages.values():
        known.append(OWN)
    rows = [
        row
        for row in rows
        if (not filters.health or row.health == filters.health)
        and (not filters.package or packages[row.map.pk] == filters.package)
    ]
    group = filters.group or ("package" if len(rows) > FEW else "none")
    found: dict[str, list[MapStatus]] = {}
    for row in rows:
        name = {
            "package": packages[row.map.pk],
            "set": row.map.connection_set.name,
            "state": MapState(row.map.state).label,
        }.get(group, "")
        found.setdefault(name, []).append(row)
    order = {name: place for place, name in enumerate(known)}
    names = sorted(found, key=lambda name: (order.get(name, 0), name))
    return MapList([MapGroup(name, found[name]) for name in names], known, group)
