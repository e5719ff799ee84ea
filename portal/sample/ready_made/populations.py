"""Which records there are: how many of each map, and on which side each is.

A record has a number within its company. The numbers repeat a pattern: some records
are on both sides and equal, some only in the ERP and, where the map flows there too,
some only in the CRM. Everything about a record follows from its number, so that any
number of rows can be made without keeping any of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from math import prod

from portal.sample import words
from portal.sample.ready_made.keys import key_of, key_targets, radixes
from portal.sample.ready_made.vocabulary import CURRENCIES, LEGAL_ENTITY_CODES
from syncengine.catalog import CatalogEntry, entries
from syncengine.mapping.model import Direction, Side

LINKED = words.MARKETS[:2]
MARKETS = (*LINKED, words.UNLINKED)
UNLINKED_RECORDS = 2
"""Records of each kind in the company that is not linked: they stay where they are."""

SHARED = -1
"""The company number of records that belong to no company."""


class Presence(StrEnum):
    """On which sides a record is before the maps run."""

    BOTH = "both"
    FINOPS = "finops"
    DATAVERSE = "dataverse"

    def on(self, side: Side) -> bool:
        """Whether such a record is on that side."""
        return self is Presence.BOTH or self.value == side.value


_BOTH, _ERP, _CRM = Presence.BOTH, Presence.FINOPS, Presence.DATAVERSE
_PATTERNS = {
    (True, True): (_BOTH, _ERP, _CRM, _BOTH, _BOTH),
    (True, False): (_BOTH, _ERP, _ERP, _BOTH, _BOTH),
    (False, True): (_BOTH, _CRM, _CRM, _BOTH, _BOTH),
}
LEGAL_ENTITIES = "legalentities"
_COMPANY_PATTERN = (_BOTH, _BOTH, _BOTH, _ERP, _ERP, _ERP)
"""Companies with records exist on both sides; some others in the ERP alone."""

Place = tuple[int, int]
"""A record: the number of its company (or SHARED) and its own within it."""


@dataclass(frozen=True)
class Population:
    """The records of a map, or of two maps that carry the same ones. `sizes` are the
    numbers of records: of each company, or one for all."""

    number: int
    maps: tuple[CatalogEntry, ...]
    pattern: tuple[Presence, ...]
    sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its (first) map."""
        return self.maps[0].name

    @property
    def finops_table(self) -> str:
        """The ERP's table."""
        return self.maps[0].finops_table

    @property
    def company_specific(self) -> bool:
        """Whether each record belongs to a company."""
        return self.maps[0].company_specific

    def size(self, company: int) -> int:
        """How many records the company has (SHARED: how many there are)."""
        return self.sizes[max(company, 0)]

    def presence(self, place: Place) -> Presence:
        """Where the record is."""
        company, number = place
        if company >= len(LINKED):
            return Presence.BOTH
        return self.pattern[number % len(self.pattern)]

    def places(self, side: Side) -> Iterator[Place]:
        """All records on a side."""
        companies = range(len(MARKETS)) if self.company_specific else (SHARED,)
        for company in companies:
            for number in range(self.size(company)):
                if self.presence((company, number)).on(side):
                    yield company, number

    def known_to(self, presence: Presence, company: int) -> tuple[Presence, ...]:
        """Which records another one may refer to: those that are on its side, or get
        there before it does."""
        if company >= len(LINKED) and self.company_specific:
            return (Presence.BOTH,)
        if presence is Presence.BOTH or presence not in self.pattern:
            return (Presence.BOTH,)
        return Presence.BOTH, presence

    def count(self, company: int, wanted: tuple[Presence, ...]) -> int:
        """How many records of the company are where one of `wanted` says."""
        size = self.size(company)
        if company >= len(LINKED):
            return size if Presence.BOTH in wanted else 0
        good = [presence in wanted for presence in self.pattern]
        whole, rest = divmod(size, len(good))
        return whole * sum(good) + sum(good[:rest])

    def nth(self, company: int, wanted: tuple[Presence, ...], index: int) -> int:
        """The number of the record that is at `index` among those `wanted`."""
        if company >= len(LINKED):
            return index
        good = [i for i, presence in enumerate(self.pattern) if presence in wanted]
        whole, rest = divmod(index, len(good))
        return whole * len(self.pattern) + good[rest]


@dataclass(frozen=True)
class Sizes:
    """How many records to make: of single tables (of either side), or of all times
    `scale`. A key that consists of references alone may allow fewer."""

    scale: int = 1
    rows: Mapping[str, int] = field(default_factory=dict)

    def of(self, entry: CatalogEntry) -> int:
        """Records wanted of a map; maps that share a named table divide them."""
        for table, sharing in (
            (entry.finops_table, _sharing_finops()),
            (entry.dataverse_table, _sharing_dataverse()),
        ):
            if table in self.rows:
                return max(1, self.rows[table] // sharing[table])
        return _DEFAULT_SIZES.get(entry.finops_table, DEFAULT_SIZE) * self.scale


@cache
def _sharing_finops() -> Counter[str]:
    return Counter(maps[0].finops_table for maps in _carried_together().values())


@cache
def _sharing_dataverse() -> Counter[str]:
    return Counter(
        entry.dataverse_table for maps in _carried_together().values() for entry in maps
    )


@cache
def _carried_together() -> dict[str, tuple[CatalogEntry, ...]]:
    """Maps by what their records are called: two maps carry the legal entities."""
    found: dict[str, list[CatalogEntry]] = {}
    for entry in entries():
        together = entry.finops_table == LEGAL_ENTITIES
        found.setdefault(LEGAL_ENTITIES if together else entry.name, []).append(entry)
    return {name: tuple(maps) for name, maps in found.items()}


DEFAULT_SIZE = 10
_DEFAULT_SIZES = {
    "allproducts": 20,
    "cdsparties": 60,
    "cdspostaladdresslocations": 20,
    "cdspurchaseorderlines": 20,
    "cdsreleaseddistinctproducts": 20,
    "cdssalesorderlines": 20,
    "cdssalesquotationlines": 20,
    "contactpersons": 20,
    "customersv3": 20,
    "operatingunits": 15,
    "partycontactsv3": 20,
    "releasedproductsv2": 20,
    "salesinvoicev2lines": 20,
    "unitsofmeasure": 15,
    "vendorsv2": 15,
    "warehouselocations": 20,
    "workers": 15,
}

_LIMITS = {
    LEGAL_ENTITIES: len(LEGAL_ENTITY_CODES),
    "currencies": len(CURRENCIES),
}
"""Tables whose keys are words of the real world, of which there are only so many."""


class Populations:
    """The populations of all maps in the given sizes."""

    def __init__(self, sizes: Sizes) -> None:
        self._by_map: dict[str, Population] = {}
        self.all: list[Population] = []
        for maps in _carried_together().values():
            self._add(maps, sizes)

    def of(self, entry: CatalogEntry) -> Population:
        """The records that the map carries."""
        return self._by_map[entry.name]

    def named(self, table: str) -> list[Population]:
        """The populations that have rows in an ERP table."""
        return [one for one in self.all if one.finops_table == table]

    def _add(self, maps: tuple[CatalogEntry, ...], sizes: Sizes) -> Population:
        first = maps[0]
        if first.name in self._by_map:
            return self._by_map[first.name]
        wanted = sizes.of(first)
        if first.finops_table in _LIMITS:
            wanted = min(wanted, _LIMITS[first.finops_table])
        parents = [
            self._add(_together_with(target.entry), sizes)
            for target in key_targets(first)
        ]
        shares = _shares(wanted) if first.company_specific else (wanted,)
        limited = tuple(
            _limited(first, share, [_shared_rows(parent, c) for parent in parents])
            for c, share in enumerate(shares)
        )
        made = Population(
            len(self.all) + 1,
            maps,
            _COMPANY_PATTERN
            if first.finops_table == LEGAL_ENTITIES
            else _PATTERNS[_flows(maps)],
            limited,
        )
        self.all.append(made)
        self._by_map.update({entry.name: made for entry in maps})
        return made


def _together_with(entry: CatalogEntry) -> tuple[CatalogEntry, ...]:
    together = entry.finops_table == LEGAL_ENTITIES
    return _carried_together()[LEGAL_ENTITIES if together else entry.name]


def _shares(wanted: int) -> tuple[int, ...]:
    """Records of each company: the linked ones divide them."""
    number = len(LINKED)
    linked = tuple((wanted + number - 1 - c) // number for c in range(number))
    return (*linked, min(UNLINKED_RECORDS, wanted))


def _shared_rows(population: Population, company: int) -> int:
    """How many records that are on both sides a record of the company may name."""
    there = company if population.company_specific else SHARED
    return population.count(there, (Presence.BOTH,))


def _limited(entry: CatalogEntry, wanted: int, counts: Sequence[int]) -> int:
    if key_of(entry).own:
        return wanted
    return min(wanted, prod(radixes(entry, counts)))


def _flows(maps: tuple[CatalogEntry, ...]) -> tuple[bool, bool]:
    ways = {way for entry in maps for way in entry.directions}
    return (
        Direction.FINOPS_TO_DATAVERSE in ways,
        Direction.DATAVERSE_TO_FINOPS in ways,
    )
