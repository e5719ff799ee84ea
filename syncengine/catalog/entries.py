"""Ready-made maps as values: reading the shipped facts, finding, ordering."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from syncengine.errors import EngineError
from syncengine.mapping import dependencies
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    TableMap,
)

PUBLISHER = "ready-made"
VERSION = "1.0.0.0"

_NONE = "none"
_DOCUMENTED = "documented"
_Pair = tuple[str, str]
"""A FinOps entity and a Dataverse table, which together name a published map."""


class CatalogError(EngineError):
    """The catalog has no such map or package, or the name fits several."""

    code = "not_in_catalog"


@dataclass(frozen=True, slots=True)
class Correction:
    """What is loaded in place of a published fact, and why. `place` is the member
    of the map, for a column with its two names."""

    place: str
    reference: str
    corrected: str
    reason: str


@dataclass(frozen=True)
class CatalogEntry:
    """A ready-made map. `name` is unique: the entity's name, with the Dataverse table
    where several maps share the entity. `related` names the maps whose rows this one
    refers to; `lookups` says which table each reference column leads to. With
    `confidence` other than `documented`, the key was inferred."""

    name: str
    finops_entity: str
    finops_public_name: str
    dataverse_table: str
    package: str
    concept: str
    company_specific: bool
    confidence: str
    columns: tuple[ColumnMap, ...]
    key: tuple[KeyPair, ...]
    finops_filter: str
    dataverse_filter: str
    related: tuple[str, ...]
    lookups: tuple[tuple[str, str], ...]
    corrections: tuple[Correction, ...]

    @property
    def finops_table(self) -> str:
        """The table in an environment: the entity's public name in lower case."""
        return self.finops_public_name.lower()

    @property
    def key_inferred(self) -> bool:
        """True when no public source states the key."""
        return self.confidence != _DOCUMENTED

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions the map carries changes in."""
        definition = table_map(self)
        return tuple(way for way in Direction if definition.flows(way))

    @property
    def direction(self) -> str:
        """`both`, or the one direction."""
        ways = self.directions
        return ways[0].value if len(ways) == 1 else "both"


def table_map(
    entry: CatalogEntry, *, publisher: str = PUBLISHER, version: str = VERSION
) -> TableMap:
    """The entry as a map. Column names are spelled as published; tables and columns
    are found whatever their case."""
    return TableMap(
        name=entry.name,
        finops_table=entry.finops_table,
        dataverse_table=entry.dataverse_table,
        columns=entry.columns,
        key=entry.key,
        publisher=publisher,
        version=version,
        finops_filter=entry.finops_filter,
        dataverse_filter=entry.dataverse_filter,
    )


@cache
def entries() -> tuple[CatalogEntry, ...]:
    """All ready-made maps, by name."""
    maps, keys = read_facts("maps.json"), read_facts("keys.json")
    corrections: dict[_Pair, list[dict[str, Any]]] = {}
    for correction in read_facts("corrections.json"):
        corrections.setdefault(_pair(correction), []).append(correction)
    keys_of = {_pair(fact): fact for fact in keys}
    shared = Counter(fact["finops_entity"] for fact in maps)
    names = {
        _pair(fact): fact["finops_entity"]
        if shared[fact["finops_entity"]] == 1
        else f"{fact['finops_entity']} ({fact['dataverse_table']})"
        for fact in maps
    }
    made = [
        _entry(fact, keys_of[_pair(fact)], corrections.get(_pair(fact), ()), names)
        for fact in maps
    ]
    return tuple(sorted(made, key=lambda entry: entry.name.casefold()))


def read_facts(name: str) -> list[dict[str, Any]]:
    """The content of one of the shipped data files."""
    text = resources.files("syncengine.catalog").joinpath(name).read_text("utf-8")
    facts: list[dict[str, Any]] = json.loads(text)
    return facts


def _pair(fact: Mapping[str, Any]) -> _Pair:
    return fact["finops_entity"], fact["dataverse_table"]


def _entry(
    fact: Mapping[str, Any],
    keys: Mapping[str, Any],
    corrections: Sequence[Mapping[str, Any]],
    names: Mapping[_Pair, str],
) -> CatalogEntry:
    def corrected(place: str, value: str, column: _Pair | None = None) -> str:
        for each in corrections:
            if each["place"] != place or tuple(each.get("column", ())) != (
                column or ()
            ):
                continue
            if each["reference"] != value:
                raise CatalogError(
                    f"The correction of {names[_pair(fact)]}, {place}, is for "
                    f"{each['reference']}, but {value} is shipped.",
                    code="catalog_correction",
                )
            replaced: str = each["corrected"]
            return replaced
        return value

    columns = []
    for line in fact["columns"]:
        ends = (line["finops"], line["dataverse"])
        columns.append(
            ColumnMap(
                finops=_path(ends[0]),
                dataverse=_path(ends[1]),
                type=ColumnMapType(corrected("columns", line["type"], ends)),
                default=line["default"] or None,
                values=tuple((left, right) for left, right in line["value_map"])
                or None,
            )
        )
    return CatalogEntry(
        name=names[_pair(fact)],
        finops_entity=fact["finops_entity"],
        finops_public_name=keys["finops_public_name"],
        dataverse_table=fact["dataverse_table"],
        package=keys["package"],
        concept=keys["concept"],
        company_specific=keys["company_specific"],
        confidence=keys["confidence"],
        columns=tuple(columns),
        key=tuple(KeyPair(left, right) for left, right in keys["integration_key"]),
        finops_filter=corrected("source_filter", fact["source_filter"]),
        dataverse_filter=corrected(
            "reversed_source_filter", fact["reversed_source_filter"]
        ),
        related=tuple(
            dict.fromkeys(
                names[entity, table] for entity, table in keys["related_maps"]
            )
        ),
        lookups=tuple(keys["lookups"].items()),
        corrections=tuple(_correction(each) for each in corrections),
    )


def _path(text: str) -> str | None:
    return None if text == _NONE else text


def _correction(fact: Mapping[str, Any]) -> Correction:
    place = " ".join((fact["place"], *fact.get("column", ())))
    return Correction(place, fact["reference"], fact["corrected"], fact["reason"])


def packages() -> tuple[str, ...]:
    """The names of all packages."""
    return tuple(sorted({entry.package for entry in entries()}))


def find(name: str) -> CatalogEntry:
    """The map of this name, in any case; or of this entity, where it has one map."""
    wanted = name.strip().casefold()
    for entry in entries():
        if entry.name.casefold() == wanted:
            return entry
    alike = [entry.name for entry in entries() if _entity_fits(entry, wanted)]
    if len(alike) == 1:
        return find(alike[0])
    if alike:
        raise CatalogError(
            f"{name} has {len(alike)} ready-made maps: say which of "
            f"{', '.join(alike)}.",
            code="ambiguous",
        )
    known = {entry.name.casefold(): entry.name for entry in entries()}
    known |= {package.casefold(): package for package in packages()}
    close = [known[each] for each in get_close_matches(wanted, known, n=3)]
    hint = f" Close to it: {', '.join(close)}." if close else ""
    raise CatalogError(
        f"There is no ready-made map or package {name}.{hint} 'dw catalog' lists all."
    )


def _entity_fits(entry: CatalogEntry, wanted: str) -> bool:
    return wanted in (
        entry.finops_entity.casefold(),
        entry.finops_public_name.casefold(),
    )


def find_entity(finops_entity: str, dataverse_table: str) -> CatalogEntry | None:
    """The map between these two as the original product names them, if there is one."""
    wanted = (finops_entity.casefold(), dataverse_table.casefold())
    for entry in entries():
        if (entry.finops_entity.casefold(), entry.dataverse_table.casefold()) == wanted:
            return entry
    return None


def select(names: Iterable[str]) -> list[CatalogEntry]:
    """The maps of these names, each a map's or a package's, each map once."""
    chosen: dict[str, CatalogEntry] = {}
    for name in names:
        wanted = name.strip().casefold()
        members = [e for e in entries() if e.package.casefold() == wanted]
        for entry in members or [find(name)]:
            chosen[entry.name] = entry
    return list(chosen.values())


def with_prerequisites(chosen: Iterable[CatalogEntry]) -> list[CatalogEntry]:
    """`chosen` and all maps they refer to, directly or through others; each after
    those it refers to, except inside a cycle."""
    known = {entry.name: entry for entry in entries()}
    needs = {entry.name: entry.related for entry in known.values()}
    names = dependencies.with_prerequisites([entry.name for entry in chosen], needs)
    return [known[name] for name in names]
