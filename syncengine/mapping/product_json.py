"""Table maps as the original product's JSON (its `legs` and `fieldMappings`).

What that format has no place for is written into members named `dualWritePortal`,
which the original product ignores; so a map of ours survives the round trip whole.
Read are a mapping by itself, a project with `entityMappingTasks`, a record of the
table of maps with the mapping as text in `msdyn_mapping`, a page of such records
(`value`), what `dw export --json` prints (`maps`), and a list of any of these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncengine.mapping.json_nodes import (
    JsonObject,
    JsonReader,
    Leftover,
    Members,
    load_json,
)
from syncengine.mapping.model import TableMap
from syncengine.mapping.nodes import FileError, FileProblem
from syncengine.mapping.product_columns import read_columns
from syncengine.mapping.product_keys import integration_key
from syncengine.mapping.product_settings import read_settings
from syncengine.mapping.product_writing import (
    OURS,
    beyond_product,
    dump_product_map,
    dump_product_maps,
    product_document,
)

__all__ = [
    "FileError",
    "ImportedMap",
    "Leftover",
    "beyond_product",
    "dump_product_map",
    "dump_product_maps",
    "parse_product_map",
    "parse_product_maps",
    "product_document",
    "summary",
]

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}", re.ASCII)
_VERSION_PARTS = ("major", "minor", "build", "revision")
_INDEX = re.compile(r"\[\d+\]")
_FINOPS_TYPES = ("", "AX")
_DATAVERSE_TYPES = ("", "CRM", "CDS")
_ELSEWHERE = "It belongs to the system or project it was taken from."
_NO_PLACE = "The portal's maps have no place for it."


@dataclass(frozen=True)
class ImportedMap:
    """A map that was read. `leftovers` are the parts of the document that it does
    not carry. `complete` when the document was written by `dump_product_map`: only
    then it says key, policies and declared lookups, and spells the tables as the
    environments do."""

    table_map: TableMap
    leftovers: tuple[Leftover, ...]
    complete: bool = False


@dataclass(frozen=True)
class _Header:
    """What stands around the legs."""

    name: str = ""
    publisher: str = ""
    version: str = ""


def _prefer(reader: JsonReader, first: _Header, second: _Header, place: str) -> _Header:
    """`first`, and where it says nothing `second`, which stands at `place`. What is
    overruled is left over."""
    chosen = {}
    for name in ("name", "publisher", "version"):
        mine, other = getattr(first, name), getattr(second, name)
        chosen[name] = mine or other
        if mine and other and mine != other:
            at = f"{place}.{name}" if place else name
            reader.leftover(at, other, f"It is said elsewhere as {mine}.")
    return _Header(**chosen)


def parse_product_map(text: str) -> ImportedMap:
    """Read a document of one map; FileError lists everything wrong with it."""
    found = parse_product_maps(text)
    if len(found) != 1:
        raise FileError([FileProblem("", f"One map is expected, not {len(found)}.")])
    return found[0]


def parse_product_maps(text: str) -> tuple[ImportedMap, ...]:
    """Read all maps of a document; FileError lists everything wrong with it."""
    reader = JsonReader()
    made = [
        imported
        for value, place in _documents(reader, load_json(text))
        for imported in _document(reader, value, place, _Header())
    ]
    if not made and not reader.problems:
        reader.problem("", "There is no map in this file.")
    reader.finish()
    return tuple(made)


def summary(leftovers: Sequence[Leftover]) -> list[str]:
    """Leftovers as lines for people: alike ones in one line, with their number."""
    groups: dict[tuple[str, str], list[Leftover]] = {}
    for leftover in leftovers:
        place = _INDEX.sub("[]", leftover.place)
        groups.setdefault((place, leftover.reason), []).append(leftover)
    return [
        f"{members[0].place} = {members[0].value}: {reason}"
        if len(members) == 1
        else f"{place} ({len(members)} times): {reason}"
        for (place, reason), members in groups.items()
    ]


def _documents(reader: JsonReader, root: Any) -> list[tuple[Any, str]]:
    if isinstance(root, list):
        return list(reader.items(root, ""))
    if isinstance(root, JsonObject):
        for name in ("value", "maps"):
            if isinstance(root.get(name), list):
                return list(reader.items(root[name], name))
    return [(root, "")]


def _document(
    reader: JsonReader, value: Any, place: str, outer: _Header
) -> list[ImportedMap]:
    """The maps of one document; several where a project has several tasks."""
    before = len(reader.leftovers)
    members = reader.object(value, place)
    header = _prefer(reader, outer, _header(reader, members), place)
    environments = members.take("environments")
    if "msdyn_mapping" in members:
        at = members.at("msdyn_mapping")
        mapping = members.take("msdyn_mapping")
        if isinstance(mapping, str):
            mapping = load_json(mapping, at)
        made = _document(reader, mapping, at, header)
    elif "entityMappingTasks" in members:
        tasks = list(members.items("entityMappingTasks"))
        made = [
            _task(reader, task, at, header, environments, alone=len(tasks) == 1)
            for task, at in tasks
        ]
    else:
        made = [_mapping(reader, members, header, environments)]
    members.leave(_NO_PLACE, "description", "tags")
    members.leave(_ELSEWHERE)
    for entry, at in reader.items(environments, members.at("environments")):
        reader.leftover(at, entry, "Systems and their tables are the environments'.")
    if made:
        own = {id(leftover) for each in made for leftover in each.leftovers}
        around = [each for each in reader.leftovers[before:] if id(each) not in own]
        made[0] = replace(made[0], leftovers=(*made[0].leftovers, *around))
    return made


def _task(
    reader: JsonReader,
    value: Any,
    place: str,
    header: _Header,
    environments: Any,
    *,
    alone: bool,
) -> ImportedMap:
    """The map of a project's task. Several tasks are told apart by their own names."""
    before = len(reader.leftovers)
    members = reader.object(value, place)
    named = _header(reader, members)
    first, second = (header, named) if alone else (named, header)
    header = _prefer(reader, first, second, place)
    made = _mapping(reader, members, header, environments)
    members.leave(_ELSEWHERE)
    return replace(made, leftovers=tuple(reader.leftovers[before:]))


def _header(reader: JsonReader, members: Members) -> _Header:
    """Name, publisher and version, wherever this kind of document keeps them."""
    found = _Header(
        _name(reader, members, "displayName", "name"),
        members.text("author", "publisher"),
        _version(reader, members, "version"),
    )
    record = _Header(
        name=_name(reader, members, "msdyn_displayname", "msdyn_name"),
        version=_version(reader, members, "msdyn_version"),
    )
    found = _prefer(reader, record, found, members.place)
    for name in ("templateIdentifier", "template"):
        if name in members:
            template = members.object(name)
            inner = _header(reader, template)
            template.leave(_NO_PLACE, "description", "tags")
            template.leave(_ELSEWHERE)
            found = _prefer(reader, found, inner, template.place)
    return found


def _name(reader: JsonReader, members: Members, *names: str) -> str:
    chosen = members.text(*names)
    for name in names:
        other = members.text(name)
        if other and other != chosen:
            reader.leftover(
                members.at(name), other, f"It is said elsewhere as {chosen}."
            )
    return chosen


def _version(reader: JsonReader, members: Members, name: str) -> str:
    value, place = members.take(name), members.at(name)
    if isinstance(value, JsonObject):
        inner = reader.object(value, place)
        parts = [inner.text(part) or "0" for part in _VERSION_PARTS]
        for part in ("majorRevision", "minorRevision"):
            inner.take(part)  # halves of the revision
        text = ".".join("0" if part == "-1" else part for part in parts)
        inner.leave(_NO_PLACE)
    else:
        text = reader.text(value, place)
    if not text:
        return ""
    if not _VERSION.fullmatch(text):
        reader.problem(place, f"{text} must be four numbers with dots, like 1.0.0.0.")
        return ""
    return text + ".0" * (3 - text.count("."))


def _mapping(
    reader: JsonReader, members: Members, header: _Header, environments: Any
) -> ImportedMap:
    """The map of the one leg that `members` hold."""
    before = len(reader.leftovers)
    legs = list(members.items("legs"))
    if len(legs) != 1:
        message = f"{len(legs)} legs; a table map has one."
        reader.problem(members.at("legs"), message if legs else "Missing.")
    for name in ("leftEnvironmentType", "centerEnvironmentType"):
        reader.text(members.take(name), members.at(name))
    if members.take("rightEnvironmentType") not in (None, "", "UNDEFINED"):
        members.leave(_ELSEWHERE, "rightEnvironmentType")
    leg = reader.object(*(legs[0] if legs else (JsonObject([]), members.at("legs"))))
    tables = [_table(reader, leg, name, bool(legs)) for name in _SCHEMAS]
    for name, known in _SCHEMAS.items():
        kind = name.replace("Schema", "EnvironmentType")
        if leg.text(kind).upper() not in known:
            reader.problem(leg.at(kind), _WRONG_WAY)
    if legs and "fieldMappings" not in leg:
        reader.problem(leg.at("fieldMappings"), "Missing.")
    columns = read_columns(reader, leg.items("fieldMappings"))
    complete = OURS in members
    settings = read_settings(reader, members.object(OURS))
    key = settings.key
    if not complete:
        environment = leg.text("destinationEnvironment")
        key = integration_key(reader, environments, environment, tables[1], columns)
    made = TableMap(
        name=header.name or f"{tables[0]} ({tables[1]})",
        finops_table=tables[0],
        dataverse_table=tables[1],
        columns=columns,
        key=key,
        publisher=header.publisher,
        version=header.version or "1.0.0.0",
        finops_filter=leg.text("sourceFilter"),
        dataverse_filter=leg.text("reversedSourceFilter"),
        conflict=settings.conflict,
        on_error=settings.on_error,
        on_filter_exit=settings.on_filter_exit,
        lookups=settings.lookups,
        examples=settings.examples,
    )
    leg.leave(
        "Here a filter can always be changed, and a copy never deletes.",
        "isSourceFilterEditable",
        "deleteNonMatchingData",
    )
    leg.leave(_ELSEWHERE)
    return ImportedMap(made, tuple(reader.leftovers[before:]), complete)


_SCHEMAS = {"sourceSchema": _FINOPS_TYPES, "destinationSchema": _DATAVERSE_TYPES}
_WRONG_WAY = (
    "A table map's leg leads from finance and operations (AX) to Dataverse (CRM)."
)


def _table(reader: JsonReader, leg: Members, name: str, expected: bool) -> str:
    found = leg.text(name)
    if not found and expected:
        reader.problem(leg.at(name), "Missing.")
    return found
