"""Fills both sample databases: the same rows each time, in any number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import psycopg
from psycopg import sql

from portal.sample.ready_made import ddl, strangers, targets
from portal.sample.ready_made.carrying import Exact, Row, constant
from portal.sample.ready_made.links import PERIOD
from portal.sample.ready_made.populations import (
    MARKETS,
    Place,
    Population,
    Populations,
    Sizes,
)
from portal.sample.ready_made.records import Records
from portal.sample.ready_made.tables import COMPANY_REFERENCE
from syncengine.mapping.model import Side

Connection = psycopg.Connection[Any]
VENDOR_TYPE = "11"
AT_ONCE = 1000
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def seeder(side: Side, sizes: Sizes) -> Callable[[Connection], dict[str, int]]:
    """What creates and fills the tables of a side and gives the rows by table."""
    return lambda connection: seed(connection, side, Records(Populations(sizes)))


def seed(connection: Connection, side: Side, records: Records) -> dict[str, int]:
    """Create and fill the tables of a side in one transaction; rows by table."""
    counts: dict[str, int] = {}
    with connection.transaction():
        for statement in ddl.create_statements(side):
            connection.execute(statement)
        for table, row, places in rows_of(side, records):
            written = _copy(connection, table, row, places)
            counts[table] = counts.get(table, 0) + written
        for statement in ddl.constraint_statements(side):
            connection.execute(statement)
    connection.execute("ANALYZE")
    return counts


def rows_of(side: Side, records: Records) -> Iterator[tuple[str, Row, Iterable[Place]]]:
    """Tables of a side, with what fills the rows of some records of theirs."""
    for population in records.populations.all:
        for table, row in _tables_of(side, records, population):
            yield table, row, population.places(side)
            for stranger in strangers.of(population, side):
                other = row | {
                    column: constant(value) for column, value in stranger.values.items()
                }
                yield table, other, strangers.places(population, stranger)
        if side is Side.DATAVERSE and population.name == targets.VENDORS:
            yield _vendor_accounts(records, population)


def _tables_of(
    side: Side, records: Records, population: Population
) -> Iterator[tuple[str, Row]]:
    if side is Side.FINOPS:
        yield population.finops_table, records.finops(population)
        return
    for entry in population.maps:
        yield entry.dataverse_table, records.dataverse(entry)


def _vendor_accounts(
    records: Records, vendors: Population
) -> tuple[str, Row, Iterable[Place]]:
    """The account that each vendor has in the CRM (see targets.VENDOR_ACCOUNTS)."""
    numbers = records.finops(vendors)["vendoraccountnumber"]
    row: Row = {
        **records.identity("accounts", vendors),
        COMPANY_REFERENCE: records.company,
        "accountnumber": numbers,
        "customertypecode": constant(VENDOR_TYPE),
    }
    places = (
        (company, number)
        for company in range(len(MARKETS))
        for number in range(vendors.size(company))
    )
    return "accounts", row, places


def _copy(connection: Connection, table: str, row: Row, places: Iterable[Place]) -> int:
    """Copy the rows of `places`; values that repeat are made and spelled once."""
    exact = {name: make for name, make in row.items() if isinstance(make, Exact)}
    others = {name: make for name, make in row.items() if name not in exact}
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, (*exact, *others))),
    )
    known: dict[Place, str] = {}

    def line(place: Place) -> str:
        company, number = place
        same = company, number % PERIOD
        if same not in known:
            known[same] = "\t".join(_spelled(make(same)) for make in others.values())
        return "\t".join(
            [_spelled(make(place)) for make in exact.values()]
            + ([known[same]] if others else [])
        )

    written = 0
    waiting = iter(places)
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        while lines := [line(place) for place in islice(waiting, AT_ONCE)]:
            stream.write("\n".join(lines) + "\n")
            written += len(lines)
    return written


def _spelled(value: str | None) -> str:
    """The value in COPY's text form."""
    return "\\N" if value is None else value.translate(_ESCAPES)
