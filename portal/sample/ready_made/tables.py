"""The tables of both sample databases, as the catalog's maps imply them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from portal.sample.ready_made import targets
from portal.sample.ready_made.kinds import kinds
from portal.sample.ready_made.paths import by_table, references
from syncengine.catalog import CatalogEntry, entries
from syncengine.mapping.model import Side

COMPANY = "dataareaid"
COMPANY_REFERENCE = "msdyn_company"
COMPANIES, COMPANY_CODE = "cdm_companies", "cdm_companycode"
OTHER_COMPANY_REFERENCES = {
    "msdyn_complimentaryclosings": "msdyn_companyid",
    "msdyn_contactforparties": "msdyn_associatedcompanyid",
    "msdyn_sharedproductdetails": "msdyn_companyid",
    "products": "msdyn_companyid",
}
"""Where the published keys call the reference to the company otherwise."""

ENUMERATIONS = {
    (Side.FINOPS, "vendorsv2", "vendorpartytype"): ("Organization", "Person", "None"),
}
"""Words that the map's filter and its value map spell differently, as the original
compares them whatever their case."""

_DEFAULTS = {
    (Side.FINOPS, "salesinvoiceheadersv2", "salesordernumber"): "''",
    (Side.DATAVERSE, "contacts", "msdyn_sellable"): "false",
    (Side.DATAVERSE, "contacts", "msdyn_contactforvendor"): "false",
    (Side.DATAVERSE, "quotes", "statecode"): "0",
}
"""Columns that are never null because a filter compares them."""

_OPTIONAL_KEYS = {("contacts", "msdyn_contactpersonid")}
"""Key columns that are empty in rows which no map carries."""

_UNSOUND = {
    ("salesinvoiceheadersv2", "salesordernumber"),
    ("cdscontactpersonsv2", "associatedcontactnumber"),
}
"""Columns with values that are in no referred table: free-text invoices have no order,
contacts may belong to customers."""

_SINGULAR = {
    "cdm_veteranstatuses": "cdm_veteranstatus",
    "msdyn_chartofaccountses": "msdyn_chartofaccounts",
    "msdyn_nameaffixes": "msdyn_nameaffix",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its SQL type."""

    name: str
    type: str
    nullable: bool = True
    default: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that refer to the key of another table."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of one side. `unique` are its keys beside the primary one."""

    side: Side
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]


def company_reference(table: str) -> str:
    """The column of a company-specific Dataverse table that refers to its company."""
    return OTHER_COMPANY_REFERENCES.get(table, COMPANY_REFERENCE)


def row_id(table: str) -> str:
    """The primary key of a Dataverse table: `accounts` has `accountid`."""
    singular = _SINGULAR.get(table)
    if singular is None and table.endswith("ies"):
        singular = f"{table[:-3]}y"
    elif singular is None:
        singular = table[: -2 if table.endswith("sses") else -1]
    return f"{singular}id"


@cache
def tables(side: Side) -> tuple[Table, ...]:
    """All tables of a side, by name."""
    make = _finops_table if side is Side.FINOPS else _dataverse_table
    return tuple(
        make(name, maps)
        for name, maps in sorted(_maps_of(side).items(), key=lambda item: item[0])
    )


@cache
def _maps_of(side: Side) -> dict[str, tuple[CatalogEntry, ...]]:
    if side is Side.DATAVERSE:
        return by_table()
    found: dict[str, list[CatalogEntry]] = {}
    for entry in entries():
        found.setdefault(entry.finops_table, []).append(entry)
    return {table: tuple(maps) for table, maps in found.items()}


def _finops_table(name: str, maps: tuple[CatalogEntry, ...]) -> Table:
    company = [COMPANY] if maps[0].company_specific else []
    keys = _unique(
        (*company, *(pair.finops.lower() for pair in entry.key)) for entry in maps
    )
    mapped = dict.fromkeys(
        line.finops.lower() for entry in maps for line in entry.columns if line.finops
    )
    required = {column for key in keys for column in key}
    columns = [Column(COMPANY, "varchar(4)", nullable=False) for _ in company] + [
        _column(Side.FINOPS, name, column, required) for column in mapped
    ]
    return Table(
        Side.FINOPS,
        name,
        _keys_first(columns, keys[0]),
        keys[0],
        keys[1:],
        tuple(_finops_foreign_keys(maps)),
    )


def _dataverse_table(name: str, maps: tuple[CatalogEntry, ...]) -> Table:
    own = row_id(name)
    company = [company_reference(name)] if maps[0].company_specific else []
    keys = _unique(
        (*company, *(pair.dataverse.partition(".")[0].lower() for pair in entry.key))
        for entry in maps
    )
    required = {column for key in keys for column in key}
    required -= {column for table, column in _OPTIONAL_KEYS if table == name}
    columns = {own: Column(own, "uuid", False, "gen_random_uuid()")}
    columns |= {column: Column(column, "uuid", False) for column in company}
    foreign_keys = {
        column: ForeignKey((column,), COMPANIES, (row_id(COMPANIES),))
        for column in company
    }
    for entry in maps:
        for reference in references(entry):
            column = reference.column
            columns.setdefault(column, Column(column, "uuid", column not in required))
            if not reference.polymorphic:
                target = reference.targets[0]
                key = ForeignKey((column,), target, (row_id(target),))
                foreign_keys.setdefault(column, key)
    plain = [
        line.dataverse.lower()
        for entry in maps
        for line in entry.columns
        if line.dataverse and "." not in line.dataverse
    ]
    plain += [
        column
        for side, table, column in _DEFAULTS
        if side is Side.DATAVERSE and table == name
    ]
    for column in plain:
        if column not in columns:
            columns[column] = _column(Side.DATAVERSE, name, column, required)
    return Table(
        Side.DATAVERSE,
        name,
        _keys_first(list(columns.values()), (own, *keys[0])),
        (own,),
        keys,
        tuple(foreign_keys.values()),
    )


def _column(side: Side, table: str, name: str, required: Iterable[str]) -> Column:
    node = (side, table, name)
    kind = kinds()[node]
    default = _DEFAULTS.get(node, "")
    words = ENUMERATIONS.get(node)
    return Column(
        name,
        f"{table}_{name}" if words else kind.value,
        nullable=name not in required and not default,
        default=default,
    )


def _keys_first(columns: list[Column], key: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(
        sorted(
            columns,
            key=lambda c: key.index(c.name) if c.name in key else len(key),
        )
    )


def _unique(keys: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(tuple(dict.fromkeys(key)) for key in keys))


def _finops_foreign_keys(maps: tuple[CatalogEntry, ...]) -> Iterator[ForeignKey]:
    """References by natural key: of lookups that lead to a whole key of another
    table, which then never leads back (self references are not checked)."""
    seen = set()
    for entry in maps:
        for reference in references(entry):
            for target in targets.of(entry, reference)[:1]:
                key = _foreign_key(entry, reference.column, target)
                if reference.polymorphic or key is None or key.columns in seen:
                    continue
                seen.add(key.columns)
                yield key


def _foreign_key(
    entry: CatalogEntry, column: str, target: targets.Target
) -> ForeignKey | None:
    parent = target.entry
    pairs = {
        own.lower(): theirs.lower()
        for own, theirs in targets.finops_columns(entry, column, target)
    }
    whole = {pair.finops.lower() for pair in parent.key}
    if parent.finops_table == entry.finops_table or set(pairs.values()) != whole:
        return None
    if parent.company_specific and not entry.company_specific:
        return None
    if any((entry.finops_table, own) in _UNSOUND for own in pairs):
        return None
    company = (COMPANY,) if parent.company_specific else ()
    return ForeignKey(
        (*company, *pairs), parent.finops_table, (*company, *pairs.values())
    )
