"""The rows of a record: in the ERP, and in the CRM as its map carries it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zlib import crc32

from portal.sample.ready_made import values, vocabulary
from portal.sample.ready_made.keys import (
    digits,
    key_of,
    key_targets,
    leading,
    own_columns,
    radixes,
    usable_pairs,
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
from portal.sample.ready_made.tables import (
    COMPANIES,
    COMPANY,
    ENUMERATIONS,
    company_reference,
    row_id,
)
from portal.sample.ready_made.values import FIRST_DAY, FIRST_MOMENT, Maker
from syncengine import catalog
from syncengine.catalog import CatalogEntry
from syncengine.mapping.model import ColumnMap, Direction, Side

Row = dict[str, Maker]
"""What fills each column of a row."""


class Exact:
    """A maker whose values do not repeat; those of all others do, after PERIOD."""

    __slots__ = ("_make",)

    def __init__(self, make: Maker) -> None:
        self._make = make

    def __call__(self, place: Place) -> str | None:
        return self._make(place)


FIRST_RECORD_ID = 5_637_144_576

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

_SENTINEL = re.compile(r"(\d+)/(\d+)/(\d{4})")


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
                made.setdefault(line.dataverse, _carried(entry, line, mine))
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
            return _constant(ALWAYS[entry.name, column])
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
            choose = _pair_chooser(entry, mapped)
            return lambda place: choose(place)[0]
        if lines[0].dataverse is None:
            return _constant(lines[0].default)
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
        pairs = _pairs(entry, line)
        figures = self._figures(entry)
        return Exact(lambda place: pairs[figures(place)[0][index]][0])

    def _own_key(self, entry: CatalogEntry, column: str) -> Maker:
        kind = kinds()[Side.FINOPS, entry.finops_table, column.lower()]
        if kind is Kind.GUID:
            return Exact(values.maker(entry.name, column, kind, required=True))
        first = vocabulary.FIRST_NUMBERS.get((entry.name, column), 0)
        spell = _spelling(entry, column, kind)
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


def _carried(entry: CatalogEntry, line: ColumnMap, mine: Row) -> Maker:
    """The value of a plain Dataverse column, as the line carries it."""
    if line.finops is None:
        return _constant(line.default)
    source = mine[line.finops]
    if not line.values and line.default is None:
        return source
    table = {
        left: None if right.lower() == "blank" else right
        for left, right in _pairs(entry, line)
    }

    def make(place: Place) -> str | None:
        value = source(place)
        return line.default if value is None else table.get(value, value)

    return Exact(make) if isinstance(source, Exact) else make


def _pairs(entry: CatalogEntry, line: ColumnMap) -> list[tuple[str, str]]:
    """The pairs of the line's value map, with words as the ERP's column spells them."""
    node = Side.FINOPS, entry.finops_table, (line.finops or "").lower()
    spelled = {label.lower(): label for label in ENUMERATIONS.get(node, ())}
    return [
        (spelled.get(left, _canonical_date(left)), right)
        for left, right in usable_pairs(line.values or ())
    ]


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


def _constant(value: str | None) -> Maker:
    return lambda place: value


def _canonical_date(text: str) -> str:
    """A date of a value map as the database spells it; other words as they are."""
    found = _SENTINEL.fullmatch(text)
    if found is None:
        return text
    month, day, year = (int(part) for part in found.groups())
    return f"{year:04d}-{month:02d}-{day:02d}"


def _pair_chooser(
    entry: CatalogEntry, line: ColumnMap
) -> Callable[[Place], tuple[str, str]]:
    """Chooses a pair of the line's value map for each record."""
    pairs = _pairs(entry, line)
    salt = crc32(f"{entry.name} {line.finops}".encode())
    if kinds()[Side.FINOPS, entry.finops_table, (line.finops or "").lower()] is not (
        Kind.DATE
    ):
        choose = values.chooser(salt, len(pairs))
        return lambda place: pairs[choose(place)]
    date = values.maker(entry.name, line.finops or "", Kind.DATE, required=True)
    empty = pairs[0][0]

    def choose_date(place: Place) -> tuple[str, str]:
        value = empty if spread(salt, place) % 3 == 0 else str(date(place))
        return value, value

    return choose_date


def _spelling(entry: CatalogEntry, column: str, kind: Kind) -> Callable[[int], str]:
    """How the nth key of a column is spelled."""
    if kind is Kind.INTEGER:
        return lambda n: str(n + 1)
    if kind is Kind.BIG_INTEGER:
        return lambda n: str(FIRST_RECORD_ID + n)
    if kind is Kind.DATE:
        return lambda n: str(FIRST_DAY + timedelta(days=n))
    if kind is Kind.MOMENT:
        return lambda n: _moment(FIRST_MOMENT + timedelta(hours=n))
    known = vocabulary.KEY_WORDS.get((entry.finops_table, column))
    if known is not None:
        return lambda n: _word(known, n)
    prefix = vocabulary.CODES.get((entry.name, column))
    if prefix is None:
        letters = re.sub(r"ID$|CODE$|NUMBER$|[AEIOU_]", "", column)
        prefix = f"{letters[:4]}-"
    if prefix.endswith(" "):
        return lambda n: f"{prefix}{n + 1}"
    return lambda n: f"{prefix}{n + 1:05d}"


def _word(known: tuple[str, ...], n: int) -> str:
    again, place = divmod(n, len(known))
    return f"{known[place]} {again + 1}" if again else known[place]


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S+00}"
