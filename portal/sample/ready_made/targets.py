"""Which rows a reference leads to: the map that fills the referred table."""

from __future__ import annotations

from dataclasses import dataclass

from portal.sample.ready_made.paths import Reference, alternatives, by_table
from portal.sample.ready_made.paths import references as references_of
from syncengine import catalog
from syncengine.catalog import CatalogEntry

_CHOSEN = {
    "cdm_companies": "Legal entities (cdm_companies)",
    "contacts": "CDS Contacts V2",
    "msdyn_internalorganizations": "Operating unit",
    "msdyn_purchaseorderproducts": "CDS purchase order line entity",
}
"""Where several maps fill a table: the one whose rows others refer to."""

VENDOR_ACCOUNTS = ("Purchase order headers V2", "accounts")
"""Purchase orders refer to vendors by their account in the CRM, which no ready-made
map writes: each vendor has one of the same number."""

VENDORS = "Vendors V2"


@dataclass(frozen=True)
class Target:
    """Rows of `table`, of records of the map `entry`, found by the columns `keys`:
    the FinOps column of `entry` for each tail of the reference's parts."""

    entry: CatalogEntry
    table: str
    keys: tuple[tuple[str, str], ...]


def of(entry: CatalogEntry, reference: Reference) -> tuple[Target, ...]:
    """What the reference leads to: one target, or one for each of its tables."""
    found = []
    for number, table in enumerate(reference.targets):
        if (entry.name, table) == VENDOR_ACCOUNTS:
            by_number = (("accountnumber", "VENDORACCOUNTNUMBER"),)
            found.append(Target(catalog.find(VENDORS), table, by_number))
            continue
        parent = _parent(table, polymorphic=reference.polymorphic)
        keys = tuple(
            (part.tail, _finops_column(parent, _tail(part.tail, number)))
            for part in reference.parts
        )
        found.append(Target(parent, table, keys))
    return tuple(found)


def finops_columns(
    entry: CatalogEntry, column: str, target: Target
) -> list[tuple[str, str]]:
    """The FinOps columns of a reference, each with the referred table's column."""
    reference = next(r for r in references_of(entry) if r.column == column)
    keys = dict(target.keys)
    return [(part.finops, keys[part.tail]) for part in reference.parts]


def _parent(table: str, *, polymorphic: bool) -> CatalogEntry:
    maps = by_table()[table]
    if len(maps) == 1:
        return maps[0]
    if polymorphic:
        return next(e for e in maps if e.finops_public_name == "CustomersV3")
    return catalog.find(_CHOSEN[table])


def _tail(tail: str, number: int) -> str:
    keys = alternatives(tail)
    return keys[number] if keys else tail


def _finops_column(parent: CatalogEntry, tail: str) -> str:
    """The FinOps column that the map of the referred table carries into `tail`."""
    for line in parent.columns:
        if line.finops and (line.dataverse or "").lower() == tail.lower():
            return line.finops
    raise LookupError(f"{parent.name} has no line into {tail}.")
