"""Each missing prerequisite gives its finding, with the cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from syncengine.mapping.model import HealthFinding, Severity
from tests.connectors.conftest import Ground
from tests.servers import PostgresServer, database_name

LINK = "dw0123456789ab"


@pytest.fixture
def tables(any_ground: Ground) -> Ground:
    any_ground.execute(
        "CREATE TABLE groups (id int PRIMARY KEY, code text)",
        "CREATE TABLE customers (id serial PRIMARY KEY, g int REFERENCES groups)",
    )
    return any_ground


def by_code(findings: list[HealthFinding]) -> dict[str, HealthFinding]:
    return {finding.code: finding for finding in findings}


def test_an_installed_environment_has_no_findings(tables: Ground) -> None:
    connector = tables.connector()
    connector.install(LINK, ["customers"])
    assert connector.check(LINK, ["customers"]) == []


def test_what_is_not_installed_yet_is_said(tables: Ground) -> None:
    findings = by_code(tables.connector().check(LINK, ["customers"]))
    assert set(findings) == {
        "PG_SCHEMA",
        "PG_PUBLICATION",
        "PG_SLOT",
        "PG_REPLICA_IDENTITY",
    }
    assert all(finding.cure for finding in findings.values())


def test_a_missing_table_is_found(tables: Ground) -> None:
    found = by_code(tables.connector().check(LINK, ["ghosts"]))
    assert found["PG_TABLE_MISSING"].place == "erp.ghosts"


def test_a_table_without_a_key_is_found(tables: Ground) -> None:
    tables.execute("CREATE TABLE heap (a int)")
    finding = by_code(tables.connector().check(LINK, ["heap"]))["DIPV1019"]
    assert finding.severity is Severity.ERROR
    assert "heap" in finding.message


def test_a_table_outside_the_publication_is_found(tables: Ground) -> None:
    connector = tables.connector()
    connector.install(LINK, ["customers"])
    findings = connector.check(LINK, ["customers", "groups"])
    assert {(f.code, f.place) for f in findings} == {
        ("400", "erp.groups"),
        ("PG_REPLICA_IDENTITY", "erp.groups"),
    }


def test_a_lost_replica_identity_is_found_with_its_script(tables: Ground) -> None:
    connector = tables.connector()
    connector.install(LINK, ["customers"])
    tables.execute("ALTER TABLE customers REPLICA IDENTITY DEFAULT")
    (finding,) = connector.check(LINK, ["customers"])
    assert finding.code == "PG_REPLICA_IDENTITY"
    tables.execute(finding.script)
    assert connector.check(LINK, ["customers"]) == []


def test_each_right_an_account_lacks_is_found_with_its_script(
    tables: Ground, role: str
) -> None:
    tables.connector().install(LINK, ["customers"])
    tables.execute("REVOKE ALL ON SCHEMA public FROM public")
    database = database_name(tables.dsn)
    connector = tables.connector(tables.server.dsn(database, role, "secret"))
    findings = connector.check(LINK, ["customers"])
    assert {f.code for f in findings} == {"PG_PRIVILEGE", "PG_REPLICATION_ROLE"}
    text = " ".join(finding.message for finding in findings)
    for word in ("SELECT", "INSERT", "UPDATE", "DELETE", "schema public", "sequence"):
        assert word in text
    for script in sorted({finding.script for finding in findings}):
        assert script
        tables.execute(script)
    assert connector.check(LINK, ["customers"]) == []


def test_row_security_is_found(tables: Ground, role: str) -> None:
    tables.connector().install(LINK, ["groups"])
    tables.execute(
        f"ALTER ROLE {role} REPLICATION",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON groups TO {role}",
        "ALTER TABLE groups ENABLE ROW LEVEL SECURITY",
    )
    database = database_name(tables.dsn)
    connector = tables.connector(tables.server.dsn(database, role, "secret"))
    assert "PG_ROW_SECURITY" in by_code(connector.check(LINK, ["groups"]))


@pytest.fixture(scope="module")
def poor_server() -> Iterator[PostgresServer]:
    """A server as it comes: no logical log, nothing left, no commit times."""
    server = PostgresServer.start(
        15,
        settings={
            "wal_level": "replica",
            "max_replication_slots": "1",
            "max_wal_senders": "1",
            "track_commit_timestamp": "off",
            "max_slot_wal_keep_size": "1MB",
        },
    )
    yield server
    server.stop()


@pytest.fixture
def poor(poor_server: PostgresServer, make_database: Callable[..., str]) -> Ground:
    return Ground(make_database(poor_server), poor_server)


def test_a_server_that_cannot_replicate_is_found(poor: Ground) -> None:
    poor.execute("CREATE TABLE groups (id int PRIMARY KEY)")
    with poor.session() as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('taken')")
        found = by_code(poor.connector().check(LINK, ["groups"]))
        connection.execute("SELECT pg_drop_replication_slot('taken')")
    assert found["PG_WAL_LEVEL"].severity is Severity.ERROR
    assert "wal_level" in found["PG_WAL_LEVEL"].script
    assert found["PG_SLOTS_LEFT"].severity is Severity.ERROR
    assert "11" in found["PG_SLOTS_LEFT"].script
    assert found["PG_COMMIT_TIMESTAMP"].severity is Severity.INFO


def test_busy_replication_connections_are_found(poor: Ground) -> None:
    sender = psycopg.pq.PGconn.connect(f"{poor.dsn}?replication=database".encode())
    assert sender.status == psycopg.pq.ConnStatus.OK
    found = by_code(poor.connector().check(LINK, []))
    sender.finish()
    assert "PG_SENDERS_LEFT" in found


def test_a_slot_whose_log_is_gone_is_found() -> None:
    server = PostgresServer.start(18, settings={"max_slot_wal_keep_size": "1MB"})
    ground = Ground(server.create_database(), server)
    ground.execute("CREATE TABLE groups (id int PRIMARY KEY)")
    connector = ground.connector()
    connector.install(LINK, ["groups"])
    for _ in range(4):
        ground.execute("INSERT INTO groups SELECT count(*) FROM groups")
        ground.execute("SELECT pg_switch_wal()", "CHECKPOINT")
    found = by_code(connector.check(LINK, ["groups"]))
    assert found["PG_SLOT_LOST"].severity is Severity.ERROR
    connector.uninstall(LINK)
    server.stop()
