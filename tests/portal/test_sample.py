"""The sample companies: what is in them, that the maps fit, that traffic behaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from psycopg.conninfo import conninfo_to_dict

from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState, TableMap
from portal.runs.models import InitialSyncRun
from portal.sample import crossing, databases, seed, services, traffic
from portal.sample.maps import document, table_maps
from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.registry import connector_for
from syncengine.mapping.compiler import validate
from syncengine.mapping.model import Severity, Side
from syncengine.mapping.schema import EnvironmentSchema
from tests.factories import make_connection_set, make_environment
from tests.portal.test_command_line import dw
from tests.servers import PostgresServer

PREFIX = "sampletest"
PASSWORD = "p@ss:w/rd?%41"


def one(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def seeded(dsn: str, seeder: Callable[..., dict[str, int]], **values: int) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        seeder(connection, **values)
    return dsn


@pytest.fixture
def erp(make_database: Callable[..., str]) -> str:
    return seeded(make_database(prefix="erp"), seed.seed_erp, customers=300)


@pytest.fixture
def crm(make_database: Callable[..., str]) -> str:
    return seeded(make_database(prefix="crm"), seed.seed_crm)


def test_it_has_five_thousand_customers_of_three_linked_companies(
    database: str,
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        counts = seed.seed_erp(connection)
    assert counts["customersv3"] == 5000 + seed.UNLINKED_CUSTOMERS
    linked = "FROM customersv3 WHERE dataareaid <> 'itco'"
    assert one(database, f"SELECT count(*), count(DISTINCT dataareaid) {linked}") == (
        5000,
        3,
    )
    organizations = one(
        database, f"SELECT count(*) {linked} AND partytype = 'Organization'"
    )
    assert 2850 < organizations < 3150
    for column in ("paymentterms", "salesmemo", "creditrating", "partystate"):
        nulls = one(database, f"SELECT count(*) {linked} AND {column} IS NULL")
        assert 0 < nulls < 5000, column
    named = "coalesce(organizationname, personlastname)"
    assert one(database, f"SELECT count(*) {linked} AND {named} ~ '[^ -~]'") > 1000
    assert one(database, f"SELECT count(*) {linked} AND onholdstatus <> 'no'") > 200


def test_it_makes_the_same_rows_for_the_same_seed(
    make_database: Callable[..., str],
) -> None:
    dsns = [
        seeded(make_database(), seed.seed_erp, customers=100, seed=number)
        for number in (7, 7, 8)
    ]
    digests = [
        one(
            dsn,
            "SELECT md5(string_agg((t.customeraccount, t.organizationname,"
            " t.creditlimit, t.salesmemo, t.createddatetime)::text, '|'"
            " ORDER BY customeraccount)) FROM customersv3 t",
        )
        for dsn in dsns
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_five_maps_fit_the_sample_tables(erp: str, crm: str) -> None:
    read = document({"finops": erp, "dataverse": crm})
    schemas: dict[str, EnvironmentSchema] = {}
    for environment in read.environments:
        settings = ConnectionSettings(
            environment.name,
            environment.role,
            environment.connector,
            environment.dsn,
            environment.schema,
            environment.company,
        )
        schemas[environment.role.value] = connector_for(settings).tables()
    pairs = read.connection_sets[0].legal_entities
    assert len(read.maps) == 5
    for entry in read.maps:
        findings = validate(
            entry.table_map, schemas["finops"], schemas["dataverse"], pairs
        )
        blocking = [f for f in findings if f.severity is Severity.ERROR]
        assert not blocking, entry.table_map.name


def test_every_symbol_the_erp_allows_is_in_a_value_map(erp: str) -> None:
    with psycopg.connect(erp) as connection:
        checks = [
            (table, definition)
            for table, definition in connection.execute(
                "SELECT conrelid::regclass::text, pg_get_constraintdef(oid)"
                " FROM pg_constraint WHERE contype = 'c'"
            )
        ]
    mapped = 0
    for table_map in table_maps():
        for column in table_map.columns:
            for symbol, _ in column.values or ():
                of_column = [
                    text
                    for table, text in checks
                    if table == table_map.finops_table and f"({column.finops})" in text
                ]
                assert any(f"'{symbol}'" in text for text in of_column), column
                mapped += 1
    assert mapped > 20


def test_traffic_changes_both_sides_but_not_the_same_records(
    erp: str, crm: str
) -> None:
    done = traffic.make_traffic(
        {"finops": erp, "dataverse": crm}, rate=400, seconds=1.5, seed=11
    )
    assert done["transactions"] > 100
    assert done["sides"]["finops"]["customers created"] > 5
    assert done["sides"]["dataverse"]["accounts created"] > 5
    assert (
        one(erp, "SELECT count(*) FROM customersv3 WHERE customeraccount ~ '^TRC'") == 0
    )
    edited = one(
        erp,
        "SELECT count(*), count(*) FILTER (WHERE customeraccount ~ '[13579]$')"
        " FROM customersv3 WHERE modifieddatetime > now() - interval '1 hour'"
        " AND customeraccount !~ '^TR'",
    )
    assert edited[0] > 10
    assert edited[1] == 0
    assert (
        one(
            erp,
            "SELECT count(*) FROM customersv3 WHERE dataareaid = 'itco'"
            " AND modifieddatetime > now() - interval '1 hour'",
        )
        == 0
    )


def test_traffic_goes_on_after_its_connection_is_cut(erp: str, crm: str) -> None:
    from random import Random

    from portal.sample.traffic_erp import ErpTraffic

    with ErpTraffic(erp, Random(3)) as side:
        pid = side.connection.info.backend_pid
        with psycopg.connect(erp, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert side.step() == "interrupted"
        assert side.step() != "interrupted"


def test_a_second_traffic_run_with_the_same_seed_finds_free_numbers(
    erp: str, crm: str
) -> None:
    dsns = {"finops": erp, "dataverse": crm}
    for _ in range(2):
        traffic.make_traffic(dsns, rate=300, seconds=1, seed=5)


@pytest.fixture
def prefix(postgres: PostgresServer) -> Iterator[str]:
    yield PREFIX
    databases.drop_databases(postgres.dsn(), PREFIX)


def test_databases_are_made_once_for_a_role_without_special_powers(
    postgres: PostgresServer, prefix: str
) -> None:
    made = databases.create_databases(postgres.dsn(), PASSWORD, prefix)
    assert set(made) == {"finops", "dataverse"}
    assert databases.create_databases(postgres.dsn(), PASSWORD, prefix) == {}
    assert databases.are_filled(postgres.dsn(), PASSWORD, prefix)
    assert not databases.are_filled(postgres.dsn(), "another", prefix)
    own = databases.dsn_for(postgres.dsn(), "finops", PASSWORD, prefix)
    assert one(
        own,
        "SELECT rolsuper, rolreplication, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolname = current_user",
    ) == (False, True, False, False)


def test_dropping_takes_replication_slots_along(
    postgres: PostgresServer, prefix: str
) -> None:
    databases.create_databases(postgres.dsn(), PASSWORD, prefix)
    own = databases.dsn_for(postgres.dsn(), "dataverse", PASSWORD, prefix)
    one(
        own, "SELECT pg_create_logical_replication_slot('sampletest', 'pgoutput')::text"
    )
    databases.drop_databases(postgres.dsn(), prefix)
    left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'sampletest'"
    assert one(postgres.dsn(), left) == 0


def test_an_unreachable_server_is_named_in_a_sentence() -> None:
    with pytest.raises(databases.SampleError, match="cannot be used"):
        databases.create_databases("postgresql://x:y@127.0.0.1:1/postgres", "p")


@pytest.fixture
def no_sample(transactional_db: None) -> Iterator[None]:
    services.remove_sample()
    yield
    services.remove_sample()


@pytest.mark.usefixtures("no_sample")
def test_the_sample_is_linked_and_started_once() -> None:
    report = services.ensure_sample()
    assert report.linked
    assert len(report.started) == 5
    assert set(TableMap.objects.values_list("state", flat=True)) == {
        MapState.INITIALIZING
    }
    assert set(InitialSyncRun.objects.values_list("master", flat=True)) == {"finops"}
    assert ConnectionSet.objects.get().legal_entities.count() == 3
    assert not services.ensure_sample().changed
    assert InitialSyncRun.objects.count() == 5


@pytest.mark.usefixtures("no_sample")
def test_the_command_line_makes_traffic() -> None:
    services.ensure_sample()
    out = StringIO()
    arguments = ("--rate", "40", "--seconds", "1", "--side", "finops", "--json")
    call_command("dw", "traffic", *arguments, stdout=out, stderr=StringIO())
    done = json.loads(out.getvalue())
    assert done["transactions"] > 20
    assert list(done["sides"]) == ["finops"]


@pytest.mark.usefixtures("transactional_db")
def test_traffic_without_sample_companies_says_how_to_make_them() -> None:
    errors = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("dw", "traffic", stdout=StringIO(), stderr=errors)
    assert ended.value.code == 1
    assert "manage.py sample" in errors.getvalue()


@pytest.mark.usefixtures("no_sample")
def test_the_sample_follows_its_server_to_another_port() -> None:
    services.ensure_sample()
    environment = Environment.objects.get(name="sample-crm")
    right = environment.dsn
    port = conninfo_to_dict(right)["port"]
    environment.dsn = right.replace(f":{port}/", ":1/")
    environment.save()
    assert services.follow_server()
    environment.refresh_from_db()
    assert environment.dsn == right
    assert not services.follow_server()


@pytest.mark.usefixtures("transactional_db")
def test_a_connection_set_of_the_same_name_is_left_alone() -> None:
    mine = [
        Environment.objects.create(name=f"my-{role}", role=role, dsn="postgresql://x/y")
        for role in ("finops", "dataverse")
    ]
    ConnectionSet.objects.create(name="contoso", finops=mine[0], dataverse=mine[1])
    with pytest.raises(databases.SampleError, match="not the sample's"):
        services.ensure_sample()
    with pytest.raises(databases.SampleError, match="not the sample's"):
        services.remove_sample()


@pytest.mark.django_db
def test_a_customer_is_changed_and_its_arrival_timed_by_command(
    erp: str, crm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = dw("cross", "--name", "Any")
    assert (nothing.code, "no sample companies" in nothing.err) == (1, True)
    sides = {Side.FINOPS: erp, Side.DATAVERSE: crm}
    pair = services.SMALL
    make_connection_set(
        name=pair.connection_set,
        **{
            side.value: make_environment(
                side.value, name=pair.environments[side.value], dsn=dsn
            )
            for side, dsn in sides.items()
        },
    )
    aimless = dw("cross")
    assert (aimless.code, "Say what to change" in aimless.err) == (1, True)
    account = one(crm, crossing.READ[Side.DATAVERSE].replace("= %s", "LIKE '%'"))[0]
    absent = dw("cross", "--customer", account, "--name", "Any")
    assert (absent.code, f"no organization {account} on" in absent.err) == (1, True)

    # Nothing carries it over here; then the other side has it already.
    monkeypatch.setattr(crossing, "PATIENCE_SECONDS", 0.05)
    by_crm = ("cross", "--side", "dataverse", "--customer", account, "--json")
    late = dw(*by_crm, "--credit-limit", "1,250.5")
    assert late.code == 1
    assert late.document["seconds"] is None
    assert "not on the other side yet" in late.err
    with psycopg.connect(erp, autocommit=True) as connection:
        connection.execute(
            "UPDATE customersv3 SET customeraccount = %s, organizationname = 'Acme',"
            " creditlimit = 1250.5 WHERE ctid = (SELECT ctid FROM customersv3 WHERE"
            " dataareaid = 'usmf' AND partytype = 'Organization' LIMIT 1)",
            [account],
        )
    there = dw(*by_crm, "--name", "Acme")
    assert there.code == 0, there.err
    assert there.document["customer"] == account
    assert 0 <= there.document["seconds"] < 0.05
    assert one(crm, "SELECT count(*) FROM accounts WHERE name = 'Acme'") == 1
