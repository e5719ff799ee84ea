"""The databases for all ready-made maps: whole, repeatable, of any size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from portal.checks.services import check_connection_set
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import TableMap
from portal.sample.ready_made.populations import (
    LINKED,
    SHARED,
    Populations,
    Presence,
    Sizes,
)
from portal.sample.ready_made.records import Records
from portal.sample.ready_made.seed import rows_of
from portal.sample.ready_made.services import remove_ready_made
from portal.sample.ready_made.tables import row_id, tables
from portal.sample.services import follow_server
from syncengine import catalog
from syncengine.mapping.model import Severity, Side

CATALOG = catalog.entries()


@pytest.fixture
def no_sample(transactional_db: None) -> Iterator[None]:
    remove_ready_made()
    yield
    remove_ready_made()


def sample(*arguments: str) -> Any:
    out = StringIO()
    call_command("sample", "--ready-made", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.usefixtures("no_sample")
def test_one_command_makes_databases_link_and_all_maps_and_another_removes_them() -> (
    None
):
    made = sample("--rows", "customersv3=40", "--rows", "unitsofmeasure=7")
    assert made["linked"]
    assert len(made["installed"]) == len(CATALOG) == TableMap.objects.count()
    erp, crm = made["rows"]["finops"], made["rows"]["dataverse"]
    assert set(erp) == {entry.finops_table for entry in CATALOG}
    assert set(crm) == {entry.dataverse_table for entry in CATALOG}
    assert erp["unitsofmeasure"] == 7
    assert min(crm.values()) >= 1
    assert 30 <= erp["customersv3"] <= 45
    assert erp["vendorsv2"] < 30

    found = check_connection_set(ConnectionSet.objects.get()).findings
    told = {one.code for one in found if one.severity is not Severity.INFO}
    assert told == {"5000"}, "only the triggers that the sample derives columns by"
    assert sample() == {"rows": {}, "linked": False, "installed": []}
    environment = Environment.objects.get(name="ready-made-crm")
    right = environment.dsn
    Environment.objects.filter(pk=environment.pk).update(
        dsn=psycopg.conninfo.make_conninfo(right, port="1")
    )
    assert follow_server()
    environment.refresh_from_db()
    assert environment.dsn == right
    with psycopg.connect(right) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone()

    sample("--remove")
    assert not ConnectionSet.objects.exists()
    assert not Environment.objects.exists()
    with pytest.raises(psycopg.OperationalError, match="ready_made"):
        psycopg.connect(right)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ready-made", "--rows", "nothing=5"), "has no table nothing"),
        (("--scale", "2"), "go with --ready-made"),
        (("--ready-made", "--rows", "accounts=none"), "invalid"),
        (("--ready-made", "--scale", "0"), "invalid"),
    ],
)
@pytest.mark.usefixtures("db")
def test_sizes_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("sample", *arguments, stdout=StringIO())


@pytest.fixture(scope="module")
def records() -> Records:
    return Records(Populations(Sizes()))


def all_rows(records: Records, side: Side) -> list[tuple[str, dict[str, str | None]]]:
    return [
        (table, {column: make(place) for column, make in row.items()})
        for table, row, places in rows_of(side, records)
        for place in places
    ]


@pytest.mark.parametrize("side", list(Side))
def test_the_same_rows_are_made_each_time(records: Records, side: Side) -> None:
    rows = all_rows(records, side)
    assert rows == all_rows(Records(Populations(Sizes())), side)
    known = {
        table.name: {column.name for column in table.columns} for table in tables(side)
    }
    for table, row in rows:
        assert set(row) <= known[table], table


def test_every_map_has_records_on_both_sides_and_on_each_it_flows_from(
    records: Records,
) -> None:
    for entry in CATALOG:
        population = records.populations.of(entry)
        where = {
            population.presence(place)
            for side in Side
            for place in population.places(side)
            if place[0] < len(LINKED)
        }
        assert Presence.BOTH in where, entry.name
        for way in entry.directions:
            assert Presence(way.source.value) in where, entry.name
        assert len(where) == 1 + len(entry.directions), entry.name


def test_records_of_a_larger_sample_begin_with_those_of_a_smaller_one() -> None:
    small, large = Populations(Sizes()), Populations(Sizes(scale=50))
    for entry in CATALOG:
        few, many = small.of(entry), large.of(entry)
        company = 0 if few.company_specific else SHARED
        assert many.size(company) >= few.size(company)
        for number in range(few.size(company)):
            place = company, number
            assert few.presence(place) is many.presence(place)
    assert large.of(catalog.find("Vendors V2")).size(0) > 300
    wanted = Populations(Sizes(rows={"contacts": 1000}))
    assert wanted.of(catalog.find("CDS Contacts V2")).size(0) == 250


def test_an_entity_is_named_as_the_original_names_it() -> None:
    names = {
        "accounts": "accountid",
        "cdm_companies": "cdm_companyid",
        "msdyn_postaladdresses": "msdyn_postaladdressid",
        "msdyn_chartofaccountses": "msdyn_chartofaccountsid",
        "msdyn_warehouses": "msdyn_warehouseid",
    }
    assert {table: row_id(table) for table in names} == names


def test_self_references_lead_on_and_never_round(records: Records) -> None:
    """The column, and the key it holds, of ERP tables that refer to themselves."""
    for name, column, key in (
        ("Customers V3 (accounts)", "invoiceaccount", "customeraccount"),
        ("Vendors V2", "invoicevendoraccountnumber", "vendoraccountnumber"),
        ("Warehouses", "transitwarehouseid", "warehouseid"),
        ("Product categories", "parentproductcategoryname", "categoryname"),
    ):
        entry = catalog.find(name)
        population = records.populations.of(entry)
        row = records.finops(population)
        order = {}
        refers = {}
        for place in population.places(Side.FINOPS):
            owner = place[0], row[key](place)
            order[owner] = len(order)
            if row[column](place) is not None:
                refers[owner] = place[0], row[column](place)
        assert refers, name
        assert all(order[to] > order[owner] for owner, to in refers.items()), name
