"""Install makes what capture needs; uninstall leaves the database as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from syncengine.connectors.postgres import install as installation
from syncengine.errors import OutageError, SetupError
from syncengine.mapping.model import Side
from tests.connectors.conftest import Ground
from tests.servers import database_name

LINK = "dw0123456789ab"
OTHER = "dwba9876543210"

CATALOG = {
    "identities": "SELECT oid::regclass::text, relreplident FROM pg_class "
    "WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace",
    "identity_indexes": "SELECT indexrelid::regclass::text FROM pg_index "
    "WHERE indisreplident",
    "relations": "SELECT oid::regclass::text, relkind, relacl::text FROM pg_class "
    "WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)",
    "publications": "SELECT pubname FROM pg_publication",
    "slots": "SELECT slot_name FROM pg_replication_slots "
    "WHERE database = current_database()",
    "schemas": "SELECT nspname, nspacl::text FROM pg_namespace",
    "triggers": "SELECT tgname FROM pg_trigger",
    "functions": "SELECT proname FROM pg_proc WHERE pronamespace NOT IN "
    "('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
    "settings": "SELECT setconfig::text FROM pg_db_role_setting",
}


def catalog(ground: Ground) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: sorted(ground.query(query), key=repr) for name, query in CATALOG.items()
    }


@pytest.fixture
def tables(any_ground: Ground) -> Ground:
    any_ground.execute(
        "CREATE TABLE groups (id int PRIMARY KEY, code text NOT NULL)",
        "CREATE UNIQUE INDEX groups_code ON groups (code)",
        "ALTER TABLE groups REPLICA IDENTITY USING INDEX groups_code",
        "CREATE TABLE customers (id serial PRIMARY KEY, name text, "
        "group_id int REFERENCES groups)",
        "CREATE TABLE silent (id int PRIMARY KEY)",
        "ALTER TABLE silent REPLICA IDENTITY NOTHING",
        'CREATE TABLE "Full House" (id int PRIMARY KEY)',
        'ALTER TABLE "Full House" REPLICA IDENTITY FULL',
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)",
    )
    return any_ground


ALL = ("groups", "customers", "silent", "Full House", "parts")


def test_uninstall_leaves_the_catalog_as_it_was(tables: Ground) -> None:
    before = catalog(tables)
    connector = tables.connector()
    connector.install(LINK, ALL)
    installed = catalog(tables)
    assert installed["slots"] == [(f"dualwrite_{LINK}_finops",)]
    assert {kind for name, kind in installed["identities"] if name != "parts"} == {"f"}
    assert connector.check(LINK, ALL) == []
    connector.uninstall(LINK)
    assert catalog(tables) == before


def test_the_plan_lists_exactly_what_install_runs(tables: Ground) -> None:
    connector = tables.connector()
    plan = connector.plan_install(LINK, ALL)
    assert plan.findings == ()
    for statement in plan.statements:
        tables.execute(statement)
    assert connector.plan_install(LINK, ALL).statements == ()
    assert connector.check(LINK, ALL) == []
    assert all(table.full_identity for table in connector.tables().tables.values())


def test_tables_may_be_added_later(tables: Ground) -> None:
    before = catalog(tables)
    connector = tables.connector()
    connector.install(LINK, ["groups"])
    connector.install(LINK, ["groups"])
    connector.install(LINK, ["customers", "groups"])
    published = tables.query("SELECT tablename FROM pg_publication_tables")
    assert sorted(published) == [("customers",), ("groups",)]
    connector.uninstall(LINK)
    assert catalog(tables) == before


def test_two_connection_sets_share_a_table(tables: Ground) -> None:
    before = catalog(tables)
    connector = tables.connector()
    connector.install(LINK, ["groups"])
    connector.install(OTHER, ["groups", "customers"])
    connector.uninstall(LINK)
    assert connector.check(OTHER, ["groups", "customers"]) == []
    connector.uninstall(OTHER)
    assert catalog(tables) == before


def test_both_sides_may_live_in_one_database(tables: Ground) -> None:
    before = catalog(tables)
    finops = tables.connector()
    dataverse = tables.connector(side=Side.DATAVERSE)
    finops.install(LINK, ["groups"])
    dataverse.install(LINK, ["customers"])
    assert len(catalog(tables)["slots"]) == 2
    finops.uninstall(LINK)
    assert dataverse.check(LINK, ["customers"]) == []
    dataverse.uninstall(LINK)
    assert catalog(tables) == before


def test_uninstall_may_run_twice_and_before_install(tables: Ground) -> None:
    before = catalog(tables)
    connector = tables.connector()
    connector.uninstall(LINK)
    connector.install(LINK, ["groups"])
    connector.uninstall(LINK)
    connector.uninstall(LINK)
    assert catalog(tables) == before


def test_uninstall_copes_with_a_table_that_is_gone(tables: Ground) -> None:
    connector = tables.connector()
    connector.install(LINK, ["customers"])
    tables.execute("DROP TABLE customers")
    connector.uninstall(LINK)
    assert catalog(tables)["schemas"] == [
        row for row in catalog(tables)["schemas"] if row[0] != "dualwrite"
    ]


def test_a_missing_table_is_named(tables: Ground) -> None:
    with pytest.raises(SetupError, match="no table ghosts") as caught:
        tables.connector().install(LINK, ["groups", "ghosts"])
    assert caught.value.code == "table_missing"
    assert catalog(tables)["publications"] == []


def test_an_ordinary_role_installs_with_the_printed_script(
    tables: Ground, role: str
) -> None:
    tables.execute(f'REVOKE ALL ON DATABASE "{database_name(tables.dsn)}" FROM public')
    tables.execute(f'GRANT CONNECT ON DATABASE "{database_name(tables.dsn)}" TO {role}')
    dsn = tables.server.dsn(database_name(tables.dsn), user=role, password="secret")
    before = catalog(tables)
    connector = tables.connector(dsn)
    with pytest.raises(SetupError, match="may not install") as caught:
        connector.install(LINK, ALL)
    assert caught.value.code == "rights_missing"
    assert catalog(tables) == before
    script = caught.value.details["script"]
    plan = connector.plan_install(LINK, ALL)
    assert plan.findings[0].script == script

    tables.execute(script)
    connector.install(LINK, ALL)
    assert connector.check(LINK, ALL) == []
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('Ana')")
        connection.execute("INSERT INTO dualwrite.position VALUES ('x', 'y')")
        connection.rollback()

    with pytest.raises(SetupError) as caught:
        connector.uninstall(LINK)
    tables.execute(caught.value.details["script"])
    connector.uninstall(LINK)
    left = catalog(tables)
    assert left["identities"] == before["identities"]
    assert left["identity_indexes"] == before["identity_indexes"]
    assert left["publications"] == []
    assert left["slots"] == []
    assert "dualwrite" not in [name for name, _ in left["schemas"]]


def test_an_owner_with_replication_needs_no_administrator(
    tables: Ground, role: str
) -> None:
    database = database_name(tables.dsn)
    tables.execute(
        f"ALTER ROLE {role} REPLICATION",
        f'GRANT CREATE ON DATABASE "{database}" TO {role}',
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"ALTER TABLE groups OWNER TO {role}",
        f"ALTER TABLE customers OWNER TO {role}",
    )
    before = catalog(tables)
    connector = tables.connector(tables.server.dsn(database, role, "secret"))
    connector.install(LINK, ["groups", "customers"])
    assert connector.check(LINK, ["groups", "customers"]) == []
    connector.uninstall(LINK)
    assert catalog(tables) == before


@pytest.fixture
def impatient() -> Iterator[None]:
    before = installation.SLOT_PATIENCE_SECONDS
    installation.SLOT_PATIENCE_SECONDS = 1
    yield
    installation.SLOT_PATIENCE_SECONDS = before


@pytest.mark.usefixtures("impatient")
def test_an_open_transaction_that_blocks_the_slot_is_named(tables: Ground) -> None:
    connector = tables.connector()
    with psycopg.connect(tables.dsn) as blocker:
        blocker.execute("INSERT INTO silent VALUES (1)")
        with pytest.raises(OutageError, match="process") as caught:
            connector.install(LINK, ["groups"])
        assert caught.value.code == "slot_blocked"
        blocker.rollback()
    connector.install(LINK, ["groups"])
    assert connector.check(LINK, ["groups"]) == []


def test_installing_twice_at_once_makes_everything_once(tables: Ground) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            tables.connector().install(LINK, ALL)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tables.connector().check(LINK, ALL) == []


def test_the_printed_removal_script_does_what_uninstall_does(tables: Ground) -> None:
    before = catalog(tables)
    connector = tables.connector()
    tables.execute(connector.removal_script(LINK))
    connector.install(LINK, ALL)
    connector.install(OTHER, ["groups"])
    tables.execute(connector.removal_script(LINK))
    assert connector.check(OTHER, ["groups"]) == []
    tables.execute(connector.removal_script(OTHER))
    assert catalog(tables) == before
    tables.execute(connector.removal_script(OTHER))


def test_a_plan_says_what_would_keep_install_from_working(tables: Ground) -> None:
    tables.execute("CREATE TABLE loose (name text)")
    plan = tables.connector().plan_install(LINK, ["groups", "loose", "ghosts"])
    assert [finding.code for finding in plan.findings] == [
        "PG_TABLE_MISSING",
        "DIPV1019",
    ]
