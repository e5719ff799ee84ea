"""Conditions of systems and of a link as a whole, planted on real systems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from pytest_django.fixtures import Settings

from portal.checks.models import HealthReport
from portal.checks.services import check_connection_set, check_map
from portal.checks.sets import administrator_script, check_alone
from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet, Environment, LegalEntity
from portal.environments.queries import without_secrets
from portal.environments.services import refresh
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import prepare_capture
from portal.maps.services import run, stop
from syncengine.connectors import registry
from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.check import server_findings
from syncengine.connectors.postgres.connection import connect
from syncengine.connectors.postgres.facts import gather
from syncengine.mapping.model import HealthFinding, Severity, Side
from tests.factories import UNREACHABLE
from tests.portal.health_ground import Systems, add_map
from tests.portal.page_rows import pulse
from tests.servers import PostgresServer

pytestmark = pytest.mark.django_db

OUTSIDE = pytest.mark.django_db(transaction=True)
GOOD = {"PG_COMMIT_TIMESTAMP"}
SIDES = [(Side.FINOPS, "DWFOEV", "erp"), (Side.DATAVERSE, "DWDVEV", "crm")]


@pytest.fixture(scope="module")
def both(postgres: PostgresServer) -> Iterator[Systems]:
    made = Systems(postgres)
    yield made
    made.close()


@pytest.fixture
def systems(both: Systems) -> Systems:
    both.afresh()
    return both


def stopped(systems: Systems) -> ConnectionSet:
    """A link in which no map runs."""
    made = systems.link()
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    add_map(made)
    return made


def told(findings: Any) -> dict[str, HealthFinding]:
    """What was found beside what is good to know of every server."""
    return {one.code: one for one in findings if one.code not in GOOD}


def test_a_link_in_which_nothing_is_wrong_gives_nothing(systems: Systems) -> None:
    found = check_connection_set(stopped(systems))
    assert told(found.findings) == {}
    assert found.passed
    report = HealthReport.objects.get(table_map=None)
    assert (report.errors, report.warnings) == (0, 0)


# -- a system that does not answer -----------------------------------------------------


@pytest.mark.parametrize(("side", "prefix", "name"), SIDES)
def test_a_system_that_does_not_answer(
    systems: Systems, side: Side, prefix: str, name: str
) -> None:
    link = stopped(systems)
    Environment.objects.filter(name=name).update(dsn=UNREACHABLE)
    link = ConnectionSet.objects.get(pk=link.pk)
    found = check_connection_set(link)
    (finding,) = told(found.findings).values()
    assert finding.code == f"{prefix}1001"
    assert finding.severity is Severity.ERROR
    assert finding.place == name
    assert finding.cure
    assert "secret-word" not in str(finding)
    assert not found.whole
    table_map = TableMap.objects.get(name="customers")
    assert set(told(check_map(table_map).findings)) == {"DIPV1000"}
    assert set(told(check_alone(link.environment(side)).findings)) == {f"{prefix}1001"}


def test_a_connection_that_cannot_be_read_any_more(
    systems: Systems, settings: Settings
) -> None:
    pk = stopped(systems).pk
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    link = without_secrets(ConnectionSet.objects.all()).get(pk=pk)
    found = check_connection_set(link)
    assert [one.code for one in found.findings] == ["DIPV1005", "DIPV1005"]
    assert {one.place for one in found.findings} == {"erp", "crm"}


def test_a_connector_that_does_not_exist(systems: Systems) -> None:
    link = stopped(systems)
    Environment.objects.filter(name="erp").update(connector="punch cards")
    link = ConnectionSet.objects.get(pk=link.pk)
    assert set(told(check_connection_set(link).findings)) == {"DIPV1005"}
    table_map = TableMap.objects.get(name="customers")
    assert set(told(check_map(table_map).findings)) == {"DIPV1005"}


class Broken:
    """A connector with a fault."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError("nobody thought of this")


def test_what_nobody_foresaw_is_named_with_details(
    systems: Systems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._FACTORIES, "broken", Broken)
    link = stopped(systems)
    Environment.objects.filter(name="erp").update(connector="broken")
    link = ConnectionSet.objects.get(pk=link.pk)
    table_map = TableMap.objects.get(name="customers")
    for found in (check_connection_set(link), check_map(table_map)):
        (finding,) = told(found.findings).values()
        assert (finding.code, finding.place) == ("DIPV1006", "erp")
        assert "ZeroDivisionError: nobody thought of this" in finding.message
        assert "report it" in finding.cure


def test_another_system_than_was_linked(systems: Systems) -> None:
    link = stopped(systems)
    refresh(link.finops)
    table_map = TableMap.objects.get(name="customers")
    assert told(check_connection_set(link).findings) == {}
    Environment.objects.filter(name="erp").update(dsn=systems.dsns[Side.DATAVERSE])
    link = ConnectionSet.objects.get(pk=link.pk)
    assert "DIPV1007" in told(check_connection_set(link).findings)
    Environment.objects.filter(name="erp").update(
        dsn=systems.dsns[Side.FINOPS], fingerprint="of the original"
    )
    table_map = TableMap.objects.get(name="customers")
    (finding,) = (f for f in check_map(table_map).findings if f.code == "DIPV1007")
    assert finding.severity is Severity.ERROR
    assert finding.place == "erp"
    link = ConnectionSet.objects.get(pk=link.pk)
    assert set(told(check_connection_set(link).findings)) == {"DIPV1007"}


def test_a_server_older_than_the_first_that_can_be_read(systems: Systems) -> None:
    settings = ConnectionSettings(
        "erp", Side.FINOPS, "postgres", systems.dsns[Side.FINOPS]
    )
    with connect(settings, autocommit=True) as connection:
        facts = gather(connection, settings, "", ())
        old = replace(facts, server=replace(facts.server, version=13))
        new = replace(facts, server=replace(facts.server, version=99))
        assert set(told(server_findings(connection, facts))) == set()
        (finding,) = told(server_findings(connection, old)).values()
        assert (finding.code, finding.severity) == ("100", Severity.ERROR)
        (finding,) = told(server_findings(connection, new)).values()
        assert (finding.code, finding.severity) == ("PG_VERSION", Severity.WARNING)


# -- the link --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "statement", "words"),
    [
        (
            "crm",
            "DELETE FROM companies WHERE code = 'DAT'",
            "linked but not there: DAT",
        ),
        ("crm", "INSERT INTO companies (code) VALUES ('DAT')", "more than once: DAT"),
        ("crm", "INSERT INTO companies (code) VALUES ('')", "1 without a code"),
        (
            "erp",
            "UPDATE legalentities SET dataareaid = 'data' WHERE dataareaid = 'dat'",
            "linked but not there: dat; there but not linked: data",
        ),
    ],
)
def test_linked_companies_that_differ(
    systems: Systems, side: str, statement: str, words: str
) -> None:
    link = stopped(systems)
    getattr(systems, side).execute(statement)
    (finding,) = told(check_connection_set(link).findings).values()
    code = "DWFOEV1003" if side == "erp" else "DWDVEV1003"
    assert (finding.code, finding.severity) == (code, Severity.ERROR)
    assert words in finding.message
    assert finding.place == side


def test_companies_that_are_not_linked_are_good_to_know(systems: Systems) -> None:
    link = stopped(systems)
    LegalEntity.objects.filter(finops_code="dat").delete()
    found = told(check_connection_set(link).findings)
    assert set(found) == {"DWFOEV1003", "DWDVEV1003"}
    assert {one.severity for one in found.values()} == {Severity.INFO}
    assert "there but not linked: dat" in found["DWFOEV1003"].message


@OUTSIDE
@pytest.mark.parametrize(("side", "prefix", "name"), SIDES)
def test_what_a_former_link_left_is_found_with_the_script_that_removes_it(
    systems: Systems, side: Side, prefix: str, name: str
) -> None:
    link = stopped(systems)
    environment = link.environment(side)
    table = TableMap.objects.get(name="customers").version.dataverse_table  # type: ignore[union-attr]
    tables = ["customers"] if side is Side.FINOPS else [table]
    connector_for(environment).install("dwforgotten", tables)
    for found in (check_connection_set(link), check_alone(environment)):
        (finding,) = told(found.findings).values()
        assert (finding.code, finding.severity) == (f"{prefix}1004", Severity.ERROR)
        assert finding.place == name
        assert "dwforgotten" in finding.message
        assert administrator_script([finding]) == ""
    systems.sql[side].execute(finding.script)  # type: ignore[call-overload]
    assert told(check_connection_set(link).findings) == {}


@OUTSIDE
@pytest.mark.parametrize("kind", ["slot", "publication", "rows"])
def test_each_thing_that_is_left_behind_is_enough(systems: Systems, kind: str) -> None:
    link = stopped(systems)
    name = "dwforgotten_finops" if kind != "rows" else ""
    statement = {
        "slot": "SELECT pg_create_logical_replication_slot("
        f"'dualwrite_{name}', 'pgoutput')",
        "publication": f"CREATE PUBLICATION dualwrite_{name}",
        "rows": "CREATE SCHEMA dualwrite;"
        "CREATE TABLE dualwrite.position (link text, position text);"
        "CREATE TABLE dualwrite.installed (link text, table_name text,"
        ' former_identity "char", former_index text);'
        "INSERT INTO dualwrite.position VALUES ('dwforgotten:finops', '0/0')",
    }[kind]
    systems.erp.execute(statement)  # type: ignore[call-overload]
    (finding,) = told(check_connection_set(link).findings).values()
    assert finding.code == "DWFOEV1004"
    systems.erp.execute(finding.script)  # type: ignore[call-overload]
    assert told(check_connection_set(link).findings) == {}


@OUTSIDE
def test_a_running_map_whose_table_is_not_captured(systems: Systems) -> None:
    link = stopped(systems)
    TableMap.objects.update(state=MapState.RUNNING)
    maps = list(TableMap.objects.select_related("connection_set"))
    prepare_capture(link, maps)
    pulse(link)
    assert told(check_connection_set(link).findings) == {}
    systems.erp.execute(
        f"ALTER PUBLICATION dualwrite_{link.link_id}_finops DROP TABLE customers"
    )
    table_map = TableMap.objects.get(name="customers")
    for found in (check_connection_set(link).findings, check_map(table_map).findings):
        warnings = [one for one in found if one.severity is not Severity.INFO]
        assert [(one.code, one.severity) for one in warnings] == [
            ("400", Severity.WARNING)
        ]
        assert "customers" in warnings[0].place
    groups = TableMap.objects.get(name="groups")
    assert all(one.severity is Severity.INFO for one in check_map(groups).findings)
    for environment in (link.finops, link.dataverse):
        connector_for(environment).uninstall(link.link_id)


def test_only_maps_in_use_miss_the_maps_they_depend_on(systems: Systems) -> None:
    link = stopped(systems)
    table_map = TableMap.objects.get(name="customers")
    assert "VMAP104" in told(check_map(table_map).findings)
    assert "VMAP104" not in told(check_connection_set(link).findings)


def test_a_report_is_kept_with_its_time_and_the_related_maps(systems: Systems) -> None:
    stopped(systems)
    table_map, groups = (TableMap.objects.get(name=n) for n in ("customers", "groups"))
    for _ in range(2):
        found = check_map(table_map)
    report = HealthReport.objects.get(table_map=table_map)
    assert report.shown() == list(found.findings)
    assert (report.worst, report.warnings, report.needs) == ("warning", 1, ["groups"])
    assert check_map(groups).needed_by == ("customers",)
    with psycopg.connect(systems.dsns[Side.FINOPS]) as connection:
        count = connection.execute("SELECT count(*) FROM customers").fetchone()
    assert count == (0,)


@OUTSIDE
def test_a_run_tells_its_warnings_and_maps_that_start_together_need_no_other(
    systems: Systems,
) -> None:
    link = stopped(systems)
    maps = {one.name: one for one in TableMap.objects.all()}
    result = run([maps["customers"]], skip_initial_sync=True)
    assert [(w.map_name, w.finding.code) for w in result.warnings] == [
        ("customers", "VMAP104")
    ]
    stop([maps["customers"]])
    assert run(list(maps.values()), skip_initial_sync=True).warnings == []
    for environment in (link.finops, link.dataverse):
        connector_for(environment).uninstall(link.link_id)
