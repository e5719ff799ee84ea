"""Rows that no map carries: filters leave them out, or only the CRM has their like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from portal.sample.ready_made.populations import (
    LINKED,
    SHARED,
    Place,
    Population,
)
from syncengine.mapping.model import Side

NUMBER_OF_EACH = 2
_BEYOND = 500
"""How far their numbers are from those of the records that maps carry."""


@dataclass(frozen=True)
class Stranger:
    """Rows like those of a map on one side, but for some values."""

    map_name: str
    side: Side
    values: Mapping[str, str | None]


STRANGERS = (
    Stranger("Currencies", Side.FINOPS, {"currencycode": "999", "name": "Unknown"}),
    Stranger("Prospects", Side.FINOPS, {"isb2bprospect": "no"}),
    Stranger("Prospects", Side.DATAVERSE, {"msdyn_b2bcommerceprospect": "false"}),
    Stranger("Vendors V2", Side.FINOPS, {"vendorpartytype": "None"}),
    Stranger("Sales invoice headers V2", Side.FINOPS, {"salesordernumber": ""}),
    Stranger(
        "Sales invoice headers V2", Side.DATAVERSE, {"msdyn_ordertype": "690970000"}
    ),
    Stranger(
        "CDS Contacts V2",
        Side.FINOPS,
        {"associatedcontacttype": "Customer", "associatedcontactnumber": "C-00001"},
    ),
    Stranger(
        "CDS Contacts V2",
        Side.DATAVERSE,
        {"msdyn_contactforvendor": "false", "msdyn_contactpersonid": None},
    ),
    Stranger("Customers V3 (accounts)", Side.DATAVERSE, {"customertypecode": "8"}),
    Stranger(
        "CDS sales order headers", Side.DATAVERSE, {"msdyn_ordertype": "690970002"}
    ),
    Stranger("CDS sales quotation header", Side.DATAVERSE, {"statecode": "3"}),
    Stranger("Customer Attachments", Side.FINOPS, {"typeid": "File"}),
    Stranger(
        "Customer Attachments",
        Side.DATAVERSE,
        {"objecttypecode": "msdyn_workorder", "msdyn_relatedentityid": None},
    ),
)


def of(population: Population, side: Side) -> Iterator[Stranger]:
    """The strangers among a population's rows on a side."""
    names = {entry.name for entry in population.maps}
    return (one for one in STRANGERS if one.map_name in names and one.side is side)


def places(population: Population, stranger: Stranger) -> Iterator[Place]:
    """The numbers of such rows, in each linked company."""
    companies = range(len(LINKED)) if population.company_specific else (SHARED,)
    period = len(population.pattern)
    number = 1 if "currencycode" in stranger.values else NUMBER_OF_EACH
    nth = STRANGERS.index(stranger)
    for company in companies:
        first = population.size(company) // period + _BEYOND + nth * NUMBER_OF_EACH
        for i in range(number):
            yield company, (first + i) * period
