"""Taking over maps from files, under the rules of `dw apply`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import transaction

from portal.activity import services as activity
from portal.environments.models import ConnectionSet
from portal.maps.configuration import Difference, Kind, apply_document
from portal.maps.conversion import to_engine
from portal.maps.map_files import MapFiles
from portal.maps.preparation import maps_of
from portal.refusals import ConfigurationRefused
from syncengine import catalog
from syncengine.mapping.files import Document, MapFile
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.product_json import ImportedMap, Leftover, summary

if TYPE_CHECKING:
    from portal.accounts.models import User

NO_KEY = (
    "No integration key is known. Before the map can run, export it as YAML, add the "
    "key and apply the file."
)


@dataclass(frozen=True)
class Import:
    """What was done with one map of a file. `notes` say what was read otherwise than
    it is written, `leftovers` what the map does not carry."""

    file: str
    name: str
    difference: Difference
    notes: tuple[str, ...]
    leftovers: tuple[Leftover, ...]


@dataclass(frozen=True)
class Imported:
    """What was done: each map of the files, and the shared value maps they bring."""

    maps: tuple[Import, ...]
    value_maps: tuple[Difference, ...] = ()


def import_maps(
    connection_set: ConnectionSet,
    files: MapFiles,
    *,
    plan: bool = False,
    user: User | None = None,
) -> Imported:
    """Make each a map, or the next version of the map that it is; all or none. With
    `plan` nothing changes.

    A map must not run, and its version must rise. What a file of the original product
    does not say stays as the stored version says it: key, policies, declared lookups.
    What is not carried is listed in the activity log as well. Raises
    ConfigurationRefused with all reasons.
    """
    stored = [to_engine(m.version) for m in maps_of(connection_set) if m.version]
    resolved = [_resolve(imported, stored) for _, imported in files.maps]
    names = [definition.name for definition, _ in resolved]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationRefused(
            "The files cannot be imported; nothing was changed.",
            reasons=[f"Map {name} comes more than once." for name in twice],
        )
    document = Document(
        maps=tuple(MapFile(connection_set.name, each) for each, _ in resolved),
        value_maps=files.value_maps,
    )
    with transaction.atomic():
        differences = apply_document(document, plan=plan, user=user)
        of_maps = [each for each in differences if each.kind is Kind.MAP]
        maps = tuple(
            Import(file, definition.name, difference, notes, imported.leftovers)
            for (file, imported), (definition, notes), difference in zip(
                files.maps, resolved, of_maps, strict=True
            )
        )
        if not plan:
            _log(connection_set, maps, user)
    return Imported(
        maps, tuple(each for each in differences if each.kind is Kind.VALUE_MAP)
    )


def _log(
    connection_set: ConnectionSet, done: Sequence[Import], user: User | None
) -> None:
    changed = [one for one in done if one.difference.operation.value != "unchanged"]
    if not changed:
        return
    count = len(changed)
    files = list(dict.fromkeys(one.file for one in done))
    activity.record(
        "connection_set.imported",
        f"{count} {'map' if count == 1 else 'maps'} of {connection_set} came from "
        f"{', '.join(files)}.",
        user=user,
        connection_set=connection_set,
        details={
            "maps": [one.name for one in changed],
            "not_carried": [
                f"{one.name}: {line}" for one in done for line in summary(one.leftovers)
            ],
        },
    )


def _resolve(
    imported: ImportedMap, stored: Sequence[Definition]
) -> tuple[Definition, tuple[str, ...]]:
    """The map as it is to be stored, and how it differs from what is written."""
    wanted = imported.table_map
    if imported.complete:
        return wanted, ()
    notes = []
    entry = catalog.find_entity(wanted.finops_table, wanted.dataverse_table)
    name = wanted.name
    if _is_pair_name(wanted):
        fallback = f"{wanted.finops_table} ({wanted.dataverse_table})"
        name = entry.name if entry else fallback
    if entry and entry.finops_table != wanted.finops_table:
        notes.append(f"{wanted.finops_table} is the table {entry.finops_table}.")
        wanted = replace(wanted, finops_table=entry.finops_table)
    present = _present(stored, name, wanted)
    if present is not None:
        name = present.name
        wanted = replace(
            wanted,
            key=wanted.key or present.key,
            conflict=present.conflict,
            on_error=present.on_error,
            on_filter_exit=present.on_filter_exit,
            lookups=present.lookups,
            examples=present.examples,
        )
        notes.append("Key, policies, lookups and examples stay as they are stored.")
    if name != wanted.name:
        notes.append(f"{wanted.name} is the map {name}.")
        wanted = replace(wanted, name=name)
    if not wanted.key and entry and _maps_key(wanted, entry):
        wanted = replace(wanted, key=entry.key)
        notes.append("The integration key is that of the ready-made map.")
    if not wanted.key:
        notes.append(NO_KEY)
    return wanted, tuple(notes)


def _is_pair_name(wanted: Definition) -> bool:
    """A name the original product makes up, for want of a better one."""
    made_up = f"[{wanted.finops_table}] - [{wanted.dataverse_table}]"
    return wanted.name.casefold() == made_up.casefold()


def _present(
    stored: Sequence[Definition], name: str, wanted: Definition
) -> Definition | None:
    """The stored map that `wanted` is: by name, else the only one of its tables."""
    named = [each for each in stored if each.name == name]
    alike = [each for each in stored if _tables(each) == _tables(wanted)]
    found = named or (alike if len(alike) == 1 else [])
    return found[0] if found else None


def _tables(definition: Definition) -> tuple[str, str]:
    return definition.finops_table.casefold(), definition.dataverse_table.casefold()


def _maps_key(wanted: Definition, entry: catalog.CatalogEntry) -> bool:
    mapped = {
        ((line.finops or "").casefold(), (line.dataverse or "").casefold())
        for line in wanted.columns
    }
    return all(
        (pair.finops.casefold(), pair.dataverse.casefold()) in mapped
        for pair in entry.key
    )
