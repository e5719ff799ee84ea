"""Installing ready-made maps of the catalog into a connection set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.text import slugify

from portal.activity import services as activity
from portal.environments.models import ConnectionSet
from portal.maps import services
from portal.maps.models import TableMap
from syncengine import catalog

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass
class Installation:
    """What installing did. `present` are entries whose map was there already, with
    that map, which may have a name of its own."""

    connection_set: ConnectionSet
    installed: list[TableMap] = field(default_factory=list)
    present: list[tuple[catalog.CatalogEntry, TableMap]] = field(default_factory=list)


Step = tuple[catalog.CatalogEntry, TableMap | None]
"""A ready-made map, and the stored map that it is already, if there is one."""


class _Stored:
    """The maps of a connection set, to be found by name or by their two tables."""

    def __init__(self, maps: Iterable[TableMap]) -> None:
        self._by_name: dict[str, TableMap] = {}
        self._by_tables: dict[tuple[str, str], TableMap] = {}
        for table_map in maps:
            self._by_name[table_map.name.casefold()] = table_map
            if version := table_map.version:
                tables = (version.finops_table, version.dataverse_table)
                self._by_tables.setdefault(_folded(tables), table_map)

    def find(self, entry: catalog.CatalogEntry) -> TableMap | None:
        """The map that this entry is."""
        tables = (entry.finops_table, entry.dataverse_table)
        return self._by_name.get(entry.name.casefold()) or self._by_tables.get(
            _folded(tables)
        )


def _folded(tables: tuple[str, str]) -> tuple[str, str]:
    return tables[0].casefold(), tables[1].casefold()


def _maps() -> QuerySet[TableMap]:
    return TableMap.objects.select_related("connection_set", "version")


def address_name(entry: catalog.CatalogEntry) -> str:
    """The name of a ready-made map in the addresses of pages."""
    return slugify(entry.name)


def find_by_address(name: str) -> catalog.CatalogEntry | None:
    """The ready-made map with this name in addresses."""
    for entry in catalog.entries():
        if address_name(entry) == name:
            return entry
    return None


def installed(user: Any = None) -> dict[str, list[TableMap]]:
    """The stored maps (that a user may see) that each ready-made map is, by its name,
    in one query."""
    by_set: dict[int, list[TableMap]] = {}
    for table_map in _maps().visible_to(user).order_by("connection_set__name"):
        by_set.setdefault(table_map.connection_set_id, []).append(table_map)
    stored = [_Stored(maps) for maps in by_set.values()]
    found = {
        entry.name: [each for one in stored if (each := one.find(entry))]
        for entry in catalog.entries()
    }
    return {name: maps for name, maps in found.items() if maps}


OWN = "Own maps"
"""What maps that are no ready-made ones are grouped under."""


def packages_of(maps: Iterable[TableMap]) -> dict[int, str]:
    """The package of each map, by its id, as its name or its two tables say; their
    versions are read already."""
    by_name = {e.name.casefold(): e.package for e in catalog.entries()}
    by_tables = {
        _folded((e.finops_table, e.dataverse_table)): e.package
        for e in catalog.entries()
    }
    found = {}
    for one in maps:
        version = one.version
        tables = (
            (version.finops_table, version.dataverse_table) if version else ("", "")
        )
        package = by_tables.get(_folded(tables)) or by_name.get(one.name.casefold())
        found[one.pk] = package or OWN
    return found


def plan(
    connection_set: ConnectionSet, names: Iterable[str], *, related: bool = True
) -> list[Step]:
    """What installing these maps or packages comes to: they and, where `related`, the
    maps they refer to, in the order in which they should run. Changes nothing.

    Raises CatalogError when a name is not in the catalog.
    """
    chosen = catalog.select(names)
    wanted = catalog.with_prerequisites(chosen)
    if not related:
        wanted = [entry for entry in wanted if entry in chosen]
    stored = _Stored(_maps().filter(connection_set=connection_set))
    return [(entry, stored.find(entry)) for entry in wanted]


@transaction.atomic
def install(
    connection_set: ConnectionSet,
    names: Iterable[str],
    *,
    related: bool = True,
    user: User | None = None,
) -> Installation:
    """Add the named maps, or all of the named packages, with the maps they refer to
    unless `related` is false, in the order in which they should run. All or none;
    maps of the same name or the same two tables that are there already are left as
    they are. Nothing starts to run.

    Raises CatalogError when a name is not in the catalog.
    """
    names = list(names)
    ConnectionSet.objects.select_for_update(of=("self",)).get(pk=connection_set.pk)
    result = Installation(connection_set)
    for entry, there in plan(connection_set, names, related=related):
        if there is not None:
            result.present.append((entry, there))
            continue
        made = services.create_map(connection_set, catalog.table_map(entry), user=user)
        result.installed.append(made)
    if result.installed:
        count = len(result.installed)
        activity.record(
            "connection_set.installed",
            f"{count} ready-made {'map was' if count == 1 else 'maps were'} added to "
            f"{connection_set}, for {', '.join(names)}.",
            user=user,
            connection_set=connection_set,
            details={"maps": [table_map.name for table_map in result.installed]},
        )
    return result
