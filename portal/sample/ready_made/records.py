"""The rows of a record: in the ERP, and in the CRM as its map carries it."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

from portal.sample.ready_made import values, vocabulary
from portal.sample.ready_made.carrying import (
    Exact,
    Row,
    carried,
    constant,
    pair_chooser,
    pairs_of,
)
from portal.sample.ready_made.keys import (
    digits,
    key_of,
    key_targets,
    leading,
    own_columns,
    radixes,
)
from portal.sample.ready_made.kinds import Kind, kinds
from portal.sample.ready_made.links import (
    EMPTY_ONE_IN,
    PERIOD,
    Links,
    row_uuid,
    spread,
)
from portal.sample.ready_made.paths import Reference, references
from portal.sample.ready_made.populations import (
    MARKETS,
    SHARED,
    Place,
    Population,
    Populations,
    Presence,
)
from portal.sample.ready_made.spelling import spelling
from portal.sample.ready_made.tables import (
    COMPANIES,
    COMPANY,
    company_reference,
    row_id,
)
from portal.sample.ready_made.values import Maker
from syncengine import catalog
from syncengine.catalog import CatalogEntry
from syncengine.mapping.model import ColumnMap, Direction, Side

ALWAYS = {
    ("Prospects", "ISB2BPROSPECT"): "yes",
    ("CDS purchase order line soft deleted entity", "ISDELETED"): "yes",
}
"""Values that all records of a map have, because its filter or its sense demands."""

_KEYS_OF_OTHERS = {
    ("Customer Attachments", "CUSTOMERACCOUNTNUMBER"): (
        "Customers V3 (accounts)",
        "CUSTOMERACCOUNT",
    ),
    ("Vendor document attachments", "VENDORACCOUNTNUMBER"): (
        "Vendors V2",
        "VENDORACCOUNTNUMBER",
    ),
    ("Purchase order header document attachments", "PURCHASEORDERNUMBER"): (
        "Purchase order headers V2",
        "PURCHASEORDERNUMBER",
    ),
    ("Sales order header document attachments", "SALESORDERNUMBER"): (
        "CDS sales order headers",
        "SALESORDERNUMBER",
    ),
}
"""Plain columns that hold the key of another table's row."""


class Records:
    """Makes the rows of all populations."""

    def __init__(self, populations: Populations) -> None:
        self.populations = populations
        self._links = Links(populations)
        self._finops: dict[str, Row] = {}
        self._legal_entities = populations.of(
            catalog.find("Legal entities (cdm_companies)")
        )

    def finops(self, population: Population) -> Row:
        """The ERP's row of each record."""
        row: Row = {}
        if population.company_specific:
            row[COMPANY] = lambda place: MARKETS[place[0]].company
        for column, make in self._columns(population).items():
            row[column.lower()] = self._arriving(population, Side.FINOPS, column, make)
        return row

    def dataverse(self, entry: CatalogEntry) -> Row:
        """The CRM's row of each record, in the table of one of its maps."""
        table = entry.dataverse_table
        population = self.populations.of(entry)
        row = self.identity(table, population)
        if population.company_specific:
            row[company_reference(table)] = self.company
        mine = self._columns(population)
        made = {
            reference.column: self._uuid(entry, reference)
            for reference in references(entry)
        }
        for line in entry.columns:
            if line.dataverse and "." not in line.dataverse:
                made.setdefault(line.dataverse, carried(entry, line, mine))
        for column, make in made.items():
            if column.lower() not in row:
                row[column.lower()] = self._arriving(
                    population, Side.DATAVERSE, column, make
                )
        return row

    def _arriving(
        self, population: Population, side: Side, column: str, make: Maker
    ) -> Maker:
        """`make`, but nothing for records that only this side has when the column is
        filled from the other side alone: nobody has written it yet."""
        inwards = Direction.from_source(side.other)
        lines = [line for entry in population.maps for line in entry.columns]
        mine = [
            line for line in lines if (line.on(side) or "").partition(".")[0] == column
        ]
        sources = {line.on(side.other) for line in mine}
        alone = Presence(side.value)
        if (
            alone not in population.pattern
            or None in sources
            or any(
                line.on(side.other) in sources and line.type.flows(inwards.reverse)
                for line in lines
            )
        ):
            return make
        arriving: Maker = lambda place: (  # noqa: E731
            None if population.presence(place) is alone else make(place)
        )
        return Exact(arriving) if isinstance(make, Exact) else arriving

    def identity(self, table: str, population: Population) -> Row:
        """The primary key of each record's row."""
        return {row_id(table): Exact(lambda place: row_uuid(table, population, place))}

    def company(self, place: Place) -> str:
        """The primary key of the company of a record."""
        return row_uuid(COMPANIES, self._legal_entities, (SHARED, place[0]))

    def _columns(self, population: Population) -> Row:
        """What fills the FinOps columns of a population, spelled as in its maps."""
        if population.name not in self._finops:
            row: Row = {}
            self._finops[population.name] = row
            for column in _finops_columns(population):
                row[column] = self._finops_column(population, column)
        return self._finops[population.name]

    def _finops_column(self, population: Population, column: str) -> Maker:
        entry = _owner(population, column)
        if column in leading(entry):
            return self._of_referred(entry, column, leading(entry)[column])
        if (entry.name, column) in ALWAYS:
            return constant(ALWAYS[entry.name, column])
        if (entry.name, column) in _KEYS_OF_OTHERS:
            return self._key_of_other(entry, column)
        lines = [line for line in entry.columns if line.finops == column]
        key = key_of(entry)
        if column in [word for word, _ in key.words]:
            return self._key_word(entry, column, lines[0])
        if column in key.own:
            return self._own_key(entry, column)
        mapped = next((line for line in lines if line.values), None)
        if mapped is not None:
            choose = pair_chooser(entry, mapped)
            return lambda place: choose(place)[0]
        if lines[0].dataverse is None:
            return constant(lines[0].default)
        if lines[0].dataverse == row_id(entry.dataverse_table):
            identity = self.identity(entry.dataverse_table, population)
            return identity[lines[0].dataverse]
        kind = kinds()[Side.FINOPS, entry.finops_table, column.lower()]
        return values.maker(entry.name, column, kind)

    def _of_referred(
        self, entry: CatalogEntry, column: str, reference: Reference
    ) -> Maker:
        """The key of the row that the reference leads to."""
        link = self._links.of(entry, reference)
        tail = next(p.tail for p in reference.parts if p.finops == column)
        hidden = _hidden(entry, reference)
        if column not in own_columns(entry, reference):
            hidden = _never

        def make(place: Place) -> str | None:
            there = link(place)
            if there is None or hidden(place):
                return None
            theirs = dict(there.target.keys)[tail]
            return self._columns(there.population)[theirs](there.place)

        return make if self._links.repeat(entry, reference) else Exact(make)

    def _key_of_other(self, entry: CatalogEntry, column: str) -> Maker:
        name, theirs = _KEYS_OF_OTHERS[entry.name, column]
        other = catalog.find(name)
        population = self.populations.of(other)
        both = (Presence.BOTH,)

        def make(place: Place) -> str | None:
            company, number = place
            index = number % PERIOD % max(population.count(company, both), 1)
            there = company, population.nth(company, both, index)
            return self._columns(population)[theirs](there)

        return make

    def _figures(self, entry: CatalogEntry) -> Callable[[Place], tuple[list[int], int]]:
        """A record's number as digits of its key, and what is left."""
        parents = [self.populations.of(one.entry) for one in key_targets(entry)]
        by_company: dict[int, list[int]] = {}

        def figures(place: Place) -> tuple[list[int], int]:
            company, number = place
            if company not in by_company:
                counts = [
                    parent.count(
                        company if parent.company_specific else SHARED,
                        (Presence.BOTH,),
                    )
                    for parent in parents
                ]
                by_company[company] = radixes(entry, counts)
            return digits(number, by_company[company])

        return figures

    def _key_word(self, entry: CatalogEntry, column: str, line: ColumnMap) -> Maker:
        key = key_of(entry)
        index = len(key.references) + [word for word, _ in key.words].index(column)
        pairs = pairs_of(entry, line)
        figures = self._figures(entry)
        return Exact(lambda place: pairs[figures(place)[0][index]][0])

    def _own_key(self, entry: CatalogEntry, column: str) -> Maker:
        kind = kinds()[Side.FINOPS, entry.finops_table, column.lower()]
        if kind is Kind.GUID:
            return Exact(values.maker(entry.name, column, kind, required=True))
        first = vocabulary.FIRST_NUMBERS.get((entry.name, column), 0)
        spell = spelling(entry, column, kind)
        if (entry.name, column) in vocabulary.WHOLE_NUMBERS:
            return Exact(lambda place: spell(place[1] + first))
        figures = self._figures(entry)
        return Exact(lambda place: spell(figures(place)[1] + first))

    def _uuid(self, entry: CatalogEntry, reference: Reference) -> Maker:
        link = self._links.of(entry, reference)
        hidden = _hidden(entry, reference)

        def make(place: Place) -> str | None:
            there = link(place)
            if there is None or hidden(place):
                return None
            return row_uuid(there.target.table, there.population, there.place)

        return make if self._links.repeat(entry, reference) else Exact(make)


def _finops_columns(population: Population) -> dict[str, None]:
    return dict.fromkeys(
        line.finops
        for entry in population.maps
        for line in entry.columns
        if line.finops
    )


def _owner(population: Population, column: str) -> CatalogEntry:
    """The map that decides a FinOps column: the one whose key it is part of, or the
    first that carries it."""
    maps = [e for e in population.maps if any(c.finops == column for c in e.columns)]
    keys = [e for e in maps if any(pair.finops == column for pair in e.key)]
    return (keys or maps)[0]


def _hidden(entry: CatalogEntry, reference: Reference) -> Callable[[Place], bool]:
    """For which records a reference is empty although another one decides some of
    its columns: never when the columns of its own are all there is or part of a key."""
    own = own_columns(entry, reference)
    in_key = {pair.finops for pair in entry.key}
    if not own or len(own) == len(reference.parts) or own & in_key:
        return _never
    salt = crc32(f"{entry.name} {reference.column} own".encode())
    return lambda place: spread(salt, place) % EMPTY_ONE_IN == 0


def _never(place: Place) -> bool:
    return False
