"""Unlinking leaves nothing of ours behind, or says what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.environments import services, unlinking
from portal.environments.models import ConnectionSet, Environment, Stream
from portal.errors.models import SyncError
from portal.maps import preparation
from portal.maps import services as maps
from portal.maps.models import MapState, MapVersion, TableMap
from portal.refusals import ActionForbidden, Refusal
from portal.runs.models import InitialSyncRun
from portal.sync.leases import lease
from portal.sync.models import QueuedChange
from portal.sync.streams import run_stream, wanted_streams
from tests.factories import UNREACHABLE, make_connection_set, make_environment, make_map
from tests.portal.page_rows import make_error, make_queued, make_run
from tests.servers import PostgresServer, database_name

pytestmark = pytest.mark.django_db(transaction=True)

CATALOG = (
    "SELECT oid::regclass::text, relreplident FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace",
    "SELECT indexrelid::regclass::text FROM pg_index WHERE indisreplident",
    "SELECT pubname FROM pg_publication",
    "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()",
    "SELECT nspname, nspacl::text FROM pg_namespace",
    "SELECT oid::regclass::text, relacl::text FROM pg_class WHERE relnamespace NOT IN"
    " ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)",
)

ERP = (
    "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text)",
    "CREATE UNIQUE INDEX customers_account ON customers (account)",
    "ALTER TABLE customers REPLICA IDENTITY USING INDEX customers_account",
)
CRM = (
    "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text, onhold text)",
    "ALTER TABLE accounts REPLICA IDENTITY NOTHING",
)


def catalog(dsn: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [sorted(connection.execute(query.encode())) for query in CATALOG]


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


class Link:
    """A connection set with one map between two real databases, and their catalogs
    from before anything was installed."""

    def __init__(self, erp: str, crm: str) -> None:
        self.dsns = {"finops": erp, "dataverse": crm}
        execute(erp, *ERP)
        execute(crm, *CRM)
        self.before = self.catalogs()
        self.sides = {
            role: make_environment(role, dsn=dsn) for role, dsn in self.dsns.items()
        }
        for environment in self.sides.values():
            services.refresh(environment)
        self.set = make_connection_set(name="main", **self.sides)
        self.map = make_map(self.set)

    def catalogs(self) -> list[Any]:
        return [catalog(dsn) for dsn in self.dsns.values()]

    def install(self) -> None:
        preparation.prepare_capture(self.set, [self.map])
        assert self.catalogs() != self.before

    def lose(self, role: str) -> None:
        services.update_environment(self.sides[role], dsn=UNREACHABLE)
        self.set.refresh_from_db()

    def find(self, role: str) -> None:
        services.update_environment(self.sides[role], dsn=self.dsns[role])
        self.set = ConnectionSet.objects.get(pk=self.set.pk)


@pytest.fixture
def link(make_database: Callable[..., str]) -> Link:
    return Link(make_database(), make_database())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlinking, "STREAMS_END_SECONDS", 0.2)


def test_both_databases_are_as_they_were_before_the_link(link: Link) -> None:
    link.install()
    user = User.objects.create_user("ada")
    make_error(link.map)
    make_queued(link.map)
    make_run(link.map)
    result = services.unlink(link.set, user=user)
    assert link.catalogs() == link.before
    assert result.maps == ("customers",)
    assert result.left_behind == ()
    for model in (
        ConnectionSet,
        Stream,
        TableMap,
        MapVersion,
        SyncError,
        QueuedChange,
        InitialSyncRun,
    ):
        assert not model.objects.exists(), model
    assert Environment.objects.count() == 2


def test_activity_is_kept_and_says_who_unlinked_what(link: Link) -> None:
    link.install()
    events = ActivityEvent.objects.count()
    services.unlink(link.set, user=User.objects.create_user("ada"))
    assert ActivityEvent.objects.count() == events + 1
    event = ActivityEvent.objects.latest("id")
    assert event.kind == "connection_set.unlinked"
    assert event.user is not None
    assert event.user.username == "ada"
    assert event.message == "main was unlinked; 1 map deleted."
    assert event.details["maps"] == ["customers"]


def test_a_set_that_never_ran_can_be_unlinked_and_linked_anew(link: Link) -> None:
    services.unlink(link.set)
    assert link.catalogs() == link.before
    make_connection_set(name="main", **link.sides)


@pytest.mark.parametrize(
    "state", [state for state in MapState if state != MapState.NOT_RUNNING]
)
def test_it_is_refused_while_a_map_is_in_use(link: Link, state: MapState) -> None:
    link.install()
    TableMap.objects.update(state=state)
    installed = link.catalogs()
    with pytest.raises(ActionForbidden, match="stop these maps first") as refused:
        services.unlink(link.set, force=True)
    assert refused.value.reasons == (f"customers is {state.label}.",)
    assert link.catalogs() == installed
    assert ConnectionSet.objects.get().retired_at is None


def test_it_waits_for_the_worker_that_holds_a_stream(link: Link) -> None:
    link.install()
    stream = link.set.streams.get(source="finops")
    entered = threading.Event()

    def hold() -> None:
        try:
            with lease(stream.pk):
                entered.set()
                while not ConnectionSet.objects.filter(
                    retired_at__isnull=False
                ).exists():
                    pass
        finally:
            connections.close_all()

    worker = threading.Thread(target=hold)
    worker.start()
    assert entered.wait(10)
    services.unlink(link.set)
    worker.join()
    assert link.catalogs() == link.before


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_does_not_end_is_a_refusal_that_changes_nothing(
    link: Link,
) -> None:
    link.install()
    installed = link.catalogs()
    stream = link.set.streams.get(source="finops")
    with lease(stream.pk), pytest.raises(Refusal) as refused:
        services.unlink(link.set)
    assert refused.value.code == "stream_busy"
    assert link.catalogs() == installed
    assert ConnectionSet.objects.get().retired_at is None


def test_nothing_starts_in_a_set_that_is_being_unlinked(link: Link) -> None:
    stream = link.set.streams.get(source="finops")
    Stream.objects.update(position="00000000/00000001")
    assert stream.pk in wanted_streams()
    unlinking.set_retired(link.set, retired=True)
    assert wanted_streams() == []
    assert run_stream(stream.pk, lambda: False) is False
    with pytest.raises(ActionForbidden, match="being unlinked"):
        maps.run([link.map])
    with pytest.raises(ActionForbidden, match="being unlinked"):
        make_map(link.set, name="other")
    assert link.catalogs() == link.before


def test_a_side_that_cannot_be_reached_is_named_with_what_remains(link: Link) -> None:
    link.install()
    installed = link.catalogs()
    link.lose("dataverse")
    with pytest.raises(Refusal, match="nothing was removed anywhere") as refused:
        services.unlink(link.set)
    name = link.sides["dataverse"].name
    assert name in refused.value.message
    assert "secret-word" not in str(refused.value)
    assert f"dualwrite_{link.set.link_id}_dataverse" in refused.value.script
    assert f"dualwrite_{link.set.link_id}_finops" not in refused.value.script
    assert link.catalogs() == installed
    assert ConnectionSet.objects.get().retired_at is None
    link.find("dataverse")
    services.unlink(link.set)
    assert link.catalogs() == link.before


def test_force_removes_it_here_and_logs_the_statements_for_there(link: Link) -> None:
    link.install()
    link.lose("dataverse")
    result = services.unlink(link.set, force=True)
    assert [remains.environment for remains in result.left_behind] == [
        link.sides["dataverse"].name
    ]
    assert not ConnectionSet.objects.exists()
    assert link.catalogs()[0] == link.before[0]
    assert link.catalogs()[1] != link.before[1]
    event = ActivityEvent.objects.latest("id")
    assert "Left behind on" in event.message
    execute(link.dsns["dataverse"], event.details["left_behind"][0]["script"])
    assert link.catalogs() == link.before


def test_another_database_under_the_old_name_is_not_taken_for_the_linked_one(
    link: Link, make_database: Callable[..., str]
) -> None:
    link.install()
    services.update_environment(link.sides["finops"], dsn=make_database())
    link.set = ConnectionSet.objects.get()
    with pytest.raises(Refusal) as refused:
        services.unlink(link.set)
    assert refused.value.code == "other_database"
    result = services.unlink(link.set, force=True)
    execute(link.dsns["finops"], result.left_behind[0].script)
    assert link.catalogs() == link.before


@pytest.fixture
def role(postgres: PostgresServer) -> Iterator[str]:
    name = "unlink_product"
    execute(postgres.dsn(), f"CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'secret'")
    yield name
    execute(postgres.dsn(), f"DROP ROLE {name}")


def test_missing_rights_print_the_script_and_unlinking_again_finishes(
    role: str, postgres: PostgresServer, make_database: Callable[..., str]
) -> None:
    link = Link(make_database(), make_database())
    dsn = postgres.dsn(database_name(link.dsns["finops"]), role, "secret")
    services.update_environment(link.sides["finops"], dsn=dsn)
    link.set = ConnectionSet.objects.get()
    with pytest.raises(Refusal) as refused:
        preparation.prepare_capture(link.set, [link.map])
    assert refused.value.code == "rights_missing"
    execute(link.dsns["finops"], refused.value.script)
    link.install()
    with pytest.raises(Refusal, match="Unlink again") as refused:
        services.unlink(link.set)
    assert refused.value.code == "rights_missing"
    assert "DROP PUBLICATION" in refused.value.script
    assert ConnectionSet.objects.get().retired_at is not None
    execute(link.dsns["finops"], refused.value.script)
    services.unlink(link.set)
    assert not ConnectionSet.objects.exists()
    execute(link.dsns["finops"], f"DROP OWNED BY {role}")
    left = link.catalogs()
    assert left[1] == link.before[1]
    assert left[0][:4] == link.before[0][:4]


def test_a_linked_environment_cannot_be_deleted(link: Link) -> None:
    with pytest.raises(ActionForbidden, match="unlink main first"):
        services.delete_environment(link.sides["finops"])
    services.unlink(link.set)
    services.delete_environment(link.sides["finops"])
    assert ActivityEvent.objects.latest("id").kind == "environment.deleted"
    assert Environment.objects.get() == link.sides["dataverse"]


def test_only_a_map_that_is_not_running_can_be_deleted() -> None:
    table_map = make_map(state=MapState.PAUSED)
    with pytest.raises(ActionForbidden, match="stop it first"):
        maps.delete(table_map)
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    make_error(table_map)
    make_run(table_map)
    events = ActivityEvent.objects.count()
    maps.delete(table_map)
    assert not TableMap.objects.exists()
    assert not SyncError.objects.exists()
    assert ActivityEvent.objects.count() == events + 1
    assert ActivityEvent.objects.latest("id").kind == "map.deleted"
