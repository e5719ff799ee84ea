"""`dw unlink`, `dw delete` and `dw health --script`."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import psycopg
import pytest

from portal.environments import services
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState, TableMap
from tests.factories import make_connection_set, make_environment, make_map
from tests.portal.test_command_line import dw
from tests.servers import PostgresServer, database_name

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What the administrator answers."""
    return lambda text: monkeypatch.setattr("sys.stdin", StringIO(text))


@pytest.fixture
def linked(make_database: Callable[..., str]) -> ConnectionSet:
    return make_connection_set(
        name="main",
        finops=make_environment("finops", name="erp", dsn=make_database()),
        dataverse=make_environment("dataverse", name="crm", dsn=make_database()),
    )


def test_unlink_asks_for_the_name(
    linked: ConnectionSet, typed: Callable[[str], None]
) -> None:
    for answer in ("", "yes\n"):
        typed(answer)
        ran = dw("unlink", "main")
        assert ran.code == 1
        assert "nothing was changed" in ran.err
        assert ConnectionSet.objects.exists()
    typed("main\n")
    ran = dw("unlink", "main")
    assert ran.code == 0, ran.err
    assert "Type main to go on" in ran.err
    assert ran.out.strip() == "main was unlinked; 0 maps deleted."
    assert not ConnectionSet.objects.exists()


def test_unlink_as_json_needs_yes(linked: ConnectionSet) -> None:
    ran = dw("unlink", "main", "--json")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "confirmation_needed"
    make_map(linked)
    ran = dw("unlink", "main", "--json", "--yes")
    assert ran.code == 0, ran.err
    assert ran.document == {
        "connection_set": "main",
        "maps": ["customers"],
        "left_behind": [],
    }


def test_unlink_says_what_must_be_stopped(linked: ConnectionSet) -> None:
    make_map(linked, state=MapState.RUNNING)
    ran = dw("unlink", "main", "--yes")
    assert ran.code == 1
    assert "customers is Running." in ran.err


def test_forced_unlink_prints_the_script_for_what_it_left(
    linked: ConnectionSet,
) -> None:
    services.update_environment(
        linked.dataverse, dsn="postgresql://nobody:secret-word@127.0.0.1:1/nothing"
    )
    ran = dw("unlink", "main", "--yes")
    assert ran.code == 1
    assert "nothing was removed anywhere" in ran.err
    assert f"dualwrite_{linked.link_id}_dataverse" in ran.err
    ran = dw("unlink", "main", "--yes", "--force")
    assert ran.code == 0, ran.err
    assert "DROP PUBLICATION IF EXISTS" in ran.out
    assert "secret-word" not in ran.out + ran.err
    assert not ConnectionSet.objects.exists()


def test_an_unknown_name_is_refused_with_those_there_are(
    linked: ConnectionSet,
) -> None:
    ran = dw("unlink", "mian", "--yes")
    assert ran.code == 1
    assert ran.err.strip() == "There is no connection set mian. They are: main."


def test_delete_takes_away_maps_and_environments(
    linked: ConnectionSet, typed: Callable[[str], None]
) -> None:
    make_map(linked)
    ran = dw("delete", "environment", "erp", "--yes")
    assert ran.code == 1
    assert "unlink main first" in ran.err
    typed("no\n")
    assert dw("delete", "map", "customers").code == 1
    assert TableMap.objects.exists()
    typed("customers\n")
    assert dw("delete", "map", "customers").code == 0
    assert not TableMap.objects.exists()
    assert dw("unlink", "main", "--yes").code == 0
    assert dw("delete", "environment", "erp", "--yes", "--json").document == {
        "environment": "erp",
        "deleted": True,
    }
    assert Environment.objects.get().name == "crm"


def test_health_prints_the_administrators_script_for_each_environment(
    linked: ConnectionSet, postgres: PostgresServer
) -> None:
    dsn = linked.finops.dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (account text PRIMARY KEY)")
        connection.execute("DROP ROLE IF EXISTS health_product")
        connection.execute("CREATE ROLE health_product LOGIN PASSWORD 'secret'")
    make_map(linked)
    try:
        services.update_environment(
            linked.finops,
            dsn=postgres.dsn(database_name(dsn), "health_product", "secret"),
        )
        with psycopg.connect(linked.dataverse.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE accounts (accountnumber text PRIMARY KEY)")
        ran = dw("health", "--script")
        assert ran.code == 0, ran.err
        crm, erp = ran.out.split("-- erp\n")
        assert crm == "-- crm: nothing to run.\n"
        assert "health_product" in erp
        assert erp.count("CREATE PUBLICATION") == 1
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(erp.encode())
        assert "-- erp: nothing to run." in dw("health", "--script").out
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP OWNED BY health_product CASCADE")
            connection.execute("DROP ROLE health_product")


def test_health_says_which_environment_gives_no_script() -> None:
    make_environment("finops", name="erp")
    ran = dw("health", "--script", "--json")
    assert ran.code == 1
    assert ran.document["scripts"] == [{"environment": "erp", "script": ""}]
    assert "erp" in ran.err
