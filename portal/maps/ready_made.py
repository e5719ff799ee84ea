"""Installing ready-made maps of the catalog into a connection set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import transaction

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


@transaction.atomic
def install(
    connection_set: ConnectionSet, names: Iterable[str], *, user: User | None = None
) -> Installation:
    """Add the named maps, or all of the named packages, with the maps they refer to,
    in the order in which they should run. All or none; maps of the same name or the
    same two tables that are there already are left as they are. Nothing starts to run.

    Raises CatalogError when a name is not in the catalog.
    """
    wanted = catalog.with_prerequisites(catalog.select(names))
    ConnectionSet.objects.select_for_update(of=("self",)).get(pk=connection_set.pk)
    by_name, by_tables = {}, {}
    stored = TableMap.objects.filter(connection_set=connection_set)
    for table_map in stored.select_related("connection_set", "version"):
        by_name[table_map.name.casefold()] = table_map
        if version := table_map.version:
            tables = (version.finops_table, version.dataverse_table)
            by_tables.setdefault(tuple(map(str.casefold, tables)), table_map)
    result = Installation(connection_set)
    for entry in wanted:
        definition = catalog.table_map(entry)
        tables = (definition.finops_table, definition.dataverse_table)
        there = by_name.get(definition.name.casefold()) or by_tables.get(
            tuple(map(str.casefold, tables))
        )
        if there is not None:
            result.present.append((entry, there))
            continue
        made = services.create_map(connection_set, definition, user=user)
        result.installed.append(made)
    return result
