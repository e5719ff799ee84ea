"""Which row each reference of a record leads to.

Always one that is where it is needed: on the side the record is on, or there before
the record arrives. Self references lead to a later row, so that no order of reading
is helpful, and never in a circle.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple
from zlib import crc32

from portal.sample.ready_made import targets
from portal.sample.ready_made.keys import (
    digits,
    key_of,
    key_targets,
    leading,
    own_columns,
    radixes,
)
from portal.sample.ready_made.paths import Reference, references
from portal.sample.ready_made.populations import (
    SHARED,
    Place,
    Population,
    Populations,
    Presence,
)
from portal.sample.ready_made.tables import tables
from portal.sample.ready_made.targets import Target
from syncengine.catalog import CatalogEntry
from syncengine.mapping.model import Side

PERIOD = 1050
"""What is neither key nor self reference repeats after so many records: a multiple of
the periods of all patterns, so that millions of rows are made as fast as written."""

EMPTY_ONE_IN = 4
CHAIN = 4
"""How many rows refer one to the next before a chain of self references ends."""
_GOLDEN = 0x9E3779B97F4A7C15
_BOTH = (Presence.BOTH,)


class Linked(NamedTuple):
    """A referred row: of which target, of which records, and which one."""

    target: Target
    population: Population
    place: Place


Link = Callable[[Place], Linked | None]


def spread(salt: int, place: Place) -> int:
    """A number that looks random and is always the same for a record."""
    company, number = place
    mixed = (number % PERIOD + 1) * _GOLDEN + (company + 2) * 0xC2B2AE3D27D4EB4F + salt
    return (mixed ^ mixed >> 29) >> 7 & 0xFFFFFFFF


def row_uuid(table: str, population: Population, place: Place) -> str:
    """The primary key of a record's row in a Dataverse table."""
    company, number = place
    mixed = (number + 1) * _GOLDEN & 0xFFFFFFFFFFFFFFFF
    owner = (population.number << 8 | company + 1) * 0x9E3779B1 & 0xFFFFFFFF
    named = crc32(table.encode()) & 0xFFFFFF
    return (
        f"{owner:08x}-{mixed >> 48:04x}-4{mixed >> 36 & 0xFFF:03x}"
        f"-a{mixed >> 24 & 0xFFF:03x}-{named:06x}{mixed & 0xFFFFFF:06x}"
    )


class Links:
    """The links of all maps' references, made when first asked for."""

    def __init__(self, populations: Populations) -> None:
        self._populations = populations
        self._made: dict[tuple[str, str], Link] = {}

    def repeat(self, entry: CatalogEntry, reference: Reference) -> bool:
        """Whether what the reference leads to repeats after PERIOD records."""
        first = _first(entry, reference)
        if first is not None:
            return self.repeat(entry, first)
        in_key = [one.column for one in key_of(entry).references]
        return reference.column not in in_key and not _to_itself(entry, reference)

    def of(self, entry: CatalogEntry, reference: Reference) -> Link:
        """Where the reference column of a record's row leads to."""
        name = entry.name, reference.column
        if name not in self._made:
            self._made[name] = self._make(entry, reference)
        return self._made[name]

    def _make(self, entry: CatalogEntry, reference: Reference) -> Link:
        first = _first(entry, reference)
        if first is not None:
            return self._derived(entry, reference, first)
        own = self._populations.of(entry)
        places = [one.column for one in key_of(entry).references]
        if reference.column in places:
            return self._in_key(entry, own, places.index(reference.column))
        found = targets.of(entry, reference)
        if _to_itself(entry, reference):
            return self._self(entry, own, found[0])
        salt = crc32(f"{entry.name} {reference.column}".encode())
        always = len(own_columns(entry, reference)) < len(reference.parts)
        always = always or _required(entry, reference)
        return self._free(entry, own, found, salt, always=always)

    def _derived(
        self, entry: CatalogEntry, reference: Reference, first: Reference
    ) -> Link:
        """The same FinOps column decides another reference: follow that one."""
        step = self.of(entry, first)
        target = targets.of(entry, first)[0]
        further = _further(entry, reference, first, target)
        onward = self.of(target.entry, further)

        def link(place: Place) -> Linked | None:
            over = step(place)
            return None if over is None else onward(over.place)

        return link

    def _in_key(self, entry: CatalogEntry, own: Population, index: int) -> Link:
        """The digit of the record's number chooses the row, one on both sides."""
        found = key_targets(entry)
        parents = [self._populations.of(target.entry) for target in found]
        target, parent = found[index], parents[index]
        same = [i for i in range(index) if found[i].table == target.table]
        by_company: dict[int, tuple[list[int], int]] = {}

        def counted(company: int) -> tuple[list[int], int]:
            counts = [each.count(_company_of(each, company), _BOTH) for each in parents]
            return radixes(entry, counts), max(counts[index], 1)

        def link(place: Place) -> Linked:
            company, number = place
            if company not in by_company:
                by_company[company] = counted(company)
            radix, count = by_company[company]
            figures, _ = digits(number, radix)
            chosen = figures[index]
            if same:
                chosen = (figures[same[0]] + 1 + chosen) % count
            there = _company_of(parent, company)
            return Linked(target, parent, (there, parent.nth(there, _BOTH, chosen)))

        return link

    def _self(self, entry: CatalogEntry, own: Population, target: Target) -> Link:
        """The next row of the same kind that shares the references of the key."""
        parents = [self._populations.of(each.entry) for each in key_targets(entry)]
        steps: dict[int, int] = {}

        def step_of(company: int) -> int:
            counts = [each.count(_company_of(each, company), _BOTH) for each in parents]
            return prod(radixes(entry, counts))

        def link(place: Place) -> Linked | None:
            company, number = place
            if company not in steps:
                steps[company] = step_of(company)
            step = steps[company]
            if number // step % CHAIN == CHAIN - 1:
                return None
            known = own.known_to(own.presence(place), company)
            for further in range(1, len(own.pattern) + 1):
                there = company, number + further * step
                if there[1] >= own.size(company):
                    return None
                if own.presence(there) in known:
                    return Linked(target, own, there)
            return None

        return link

    def _free(
        self,
        entry: CatalogEntry,
        own: Population,
        found: tuple[Target, ...],
        salt: int,
        *,
        always: bool,
    ) -> Link:
        """Any row, or none for some records."""
        parents = [self._populations.of(target.entry) for target in found]
        outside = [target.entry.dataverse_table != target.table for target in found]

        def link(place: Place) -> Linked | None:
            random = spread(salt, place)
            if not always and random % EMPTY_ONE_IN == 0:
                return None
            index = random // EMPTY_ONE_IN % len(found)
            parent = parents[index]
            there = _company_of(parent, place[0])
            known = parent.known_to(own.presence(place), there)
            if outside[index]:
                known = _BOTH
            count = parent.count(there, known)
            if not count:
                return None
            number = parent.nth(there, known, random // 64 % count)
            return Linked(found[index], parent, (there, number))

        return link


def _first(entry: CatalogEntry, reference: Reference) -> Reference | None:
    """The other reference that decides this one, through a column of both."""
    for part in reference.parts:
        first = leading(entry)[part.finops]
        return None if first.column == reference.column else first
    return None


def _to_itself(entry: CatalogEntry, reference: Reference) -> bool:
    return targets.of(entry, reference)[0].entry.finops_table == entry.finops_table


def _company_of(parent: Population, company: int) -> int:
    return company if parent.company_specific else SHARED


def _required(entry: CatalogEntry, reference: Reference) -> bool:
    """Whether a FinOps column of the reference may not be empty."""
    table = next(t for t in tables(Side.FINOPS) if t.name == entry.finops_table)
    required = {column.name for column in table.columns if not column.nullable}
    return any(part.finops.lower() in required for part in reference.parts)


def _further(
    entry: CatalogEntry, reference: Reference, first: Reference, target: Target
) -> Reference:
    """The reference column of the row `first` leads to that `reference` repeats."""
    part = reference.parts[0]
    tail = next(one.tail for one in first.parts if one.finops == part.finops)
    finops = dict(target.keys)[tail]
    for line in target.entry.columns:
        column, dot, rest = (line.dataverse or "").partition(".")
        if line.finops == finops and dot and rest == part.tail:
            return next(r for r in references(target.entry) if r.column == column)
    raise LookupError(f"{entry.name}: {reference.column} cannot follow {first.column}.")
