"""Pages that check, unlink and delete: who may, what they ask, what they show."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.environments import services
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState, TableMap
from tests.factories import (
    UNREACHABLE,
    make_connection_set,
    make_environment,
    make_map,
    make_user,
)

pytestmark = pytest.mark.django_db

OUTSIDE = pytest.mark.django_db(transaction=True)
"""For what talks to the systems, which no transaction may wait for."""

CHECKS = ("environment_check", "connection_set_check")
REMOVALS = {
    "environment_delete": Role.ADMINISTRATOR,
    "connection_set_unlink": Role.ADMINISTRATOR,
    "map_delete": Role.MAP_MAKER,
}
ALL = (*CHECKS, *REMOVALS)


@pytest.fixture
def linked(make_database: Callable[..., str]) -> ConnectionSet:
    made = make_connection_set(
        name="main",
        finops=make_environment("finops", name="erp", dsn=make_database()),
        dataverse=make_environment("dataverse", name="crm", dsn=make_database()),
    )
    for side, statement in (
        (made.finops, "CREATE TABLE customers (account text PRIMARY KEY, name text)"),
        (made.dataverse, "CREATE TABLE accounts (accountnumber text PRIMARY KEY)"),
    ):
        with psycopg.connect(side.dsn, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
    make_map(made)
    return made


def address(name: str) -> str:
    """The page for the only row there is of its kind (of environments, the ERP)."""
    row: ConnectionSet | Environment | TableMap = {
        "environment": lambda: Environment.objects.get(role="finops"),
        "connection_set": lambda: ConnectionSet.objects.get(),
        "map": lambda: TableMap.objects.get(),
    }[name.rpartition("_")[0]]()
    return reverse(name, args=[row.pk])


def text(client: Client, page: str, status: int = 200, **values: str) -> str:
    answer = client.post(address(page), values) if values else client.get(address(page))
    assert answer.status_code == status, answer.status_code
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize("name", ALL)
def test_visitors_and_people_without_the_right_are_kept_out(
    client: Client, name: str
) -> None:
    make_map()
    assert client.get(address(name)).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(address(name)).status_code == 403
    client.force_login(make_user(Role.OPERATOR))
    assert (client.get(address(name)).status_code == 403) == (name in REMOVALS)
    assert client.post(address(name), {"name": "x"}).status_code in (403, 405)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_takes_no_post(admin_client: Client, name: str) -> None:
    make_map()
    assert admin_client.post(address(name)).status_code == 405


@pytest.mark.parametrize(("name", "role"), REMOVALS.items())
def test_the_right_to_delete_opens_the_question(
    client: Client, name: str, role: Role
) -> None:
    make_map()
    client.force_login(make_user(role))
    assert "cannot be undone" in text(client, name)


@pytest.mark.parametrize("name", REMOVALS)
def test_a_removal_needs_its_form_token(admin_user: User, name: str) -> None:
    make_map()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(address(name), {"name": "x"}).status_code == 403


@pytest.mark.parametrize("name", ALL)
def test_what_does_not_exist_is_not_found(admin_client: Client, name: str) -> None:
    assert admin_client.get(reverse(name, args=[12345])).status_code == 404


@pytest.mark.parametrize("name", REMOVALS)
def test_nothing_is_removed_until_the_name_is_typed(
    admin_client: Client, name: str
) -> None:
    make_map()
    shown = text(admin_client, name, 400, name="yes")
    assert "nothing was changed" in shown
    assert TableMap.objects.exists()
    assert Environment.objects.count() == 2


@OUTSIDE
def test_a_link_is_undone_from_the_page(
    linked: ConnectionSet, admin_client: Client
) -> None:
    assert "Its map is deleted here" in text(admin_client, "connection_set_unlink")
    answer = admin_client.post(
        address("connection_set_unlink"), {"name": "main"}, follow=True
    )
    assert "main was unlinked; 1 map deleted." in answer.content.decode()
    assert not ConnectionSet.objects.exists()
    event = ActivityEvent.objects.latest("id")
    assert event.user is not None
    assert event.user.username == "admin"


@OUTSIDE
def test_a_running_map_is_named_and_cannot_be_forced(
    linked: ConnectionSet, admin_client: Client
) -> None:
    TableMap.objects.update(state=MapState.RUNNING)
    shown = text(admin_client, "connection_set_unlink", 409, name="main")
    assert "customers is Running." in shown
    assert 'name="force"' not in shown


@OUTSIDE
def test_force_is_offered_once_a_side_could_not_be_cleaned_up(
    linked: ConnectionSet, admin_client: Client
) -> None:
    services.update_environment(linked.dataverse, dsn=UNREACHABLE)
    assert 'name="force"' not in text(admin_client, "connection_set_unlink")
    shown = text(admin_client, "connection_set_unlink", 409, name="main")
    assert 'name="force"' in shown
    assert "DROP PUBLICATION IF EXISTS" in shown
    assert "secret-word" not in shown
    answer = admin_client.post(
        address("connection_set_unlink"), {"name": "main", "force": "on"}, follow=True
    )
    assert answer.redirect_chain[0][0].startswith(reverse("activity_list"))
    assert "Left behind on crm" in answer.content.decode()
    assert "DROP PUBLICATION IF EXISTS" in answer.content.decode()


@OUTSIDE
def test_a_map_and_a_free_environment_are_deleted(
    linked: ConnectionSet, admin_client: Client
) -> None:
    shown = text(admin_client, "environment_delete", 409, name="erp")
    assert "unlink main first" in shown
    text(admin_client, "map_delete", 302, name="customers")
    assert not TableMap.objects.exists()
    services.unlink(linked)
    text(admin_client, "environment_delete", 302, name="erp")
    assert Environment.objects.get().name == "crm"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("environments/environment", "environment_delete"),
        ("environments/connectionset", "connection_set_unlink"),
        ("maps/tablemap", "map_delete"),
    ],
)
def test_the_admin_deletes_only_through_these_pages(
    admin_client: Client, path: str, name: str
) -> None:
    make_map()
    pk = address(name).split("/")[-3]
    answer = admin_client.post(f"/admin/{path}/{pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    assert answer["Location"] == address(name)
    admin_client.post(
        f"/admin/{path}/", {"action": "delete_selected", "_selected_action": pk}
    )
    assert "delete_selected" not in admin_client.get(f"/admin/{path}/").content.decode()
    assert TableMap.objects.exists()
    assert Environment.objects.count() == 2
    change = admin_client.get(f"/admin/{path}/{pk}/change/").content.decode()
    step = "unlink" if "connectionset" in path else "remove"
    assert f"/admin/{path}/{pk}/{step}" in change
    followed = admin_client.get(f"/admin/{path}/{pk}/{step}/")
    assert followed["Location"] == address(name)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_shows_sentence_place_cure_and_script(
    linked: ConnectionSet, admin_client: Client, name: str
) -> None:
    with psycopg.connect(linked.finops.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE customers DROP CONSTRAINT customers_pkey")
        connection.execute("DROP ROLE IF EXISTS page_product")
        connection.execute("CREATE ROLE page_product LOGIN PASSWORD 'secret'")
    try:
        host = linked.finops.dsn.rpartition("@")[2]
        services.update_environment(
            linked.finops, dsn=f"postgresql://page_product:secret@{host}"
        )
        shown = text(admin_client, name)
        assert "PostgreSQL" in shown
        assert "Something must be mended first." in shown
        assert "erp.customers" in shown
        assert "neither a primary key nor a unique index" in shown
        assert "Let a database administrator run the script" in shown
        assert "CREATE PUBLICATION" in shown
        assert 'data-copy="script-erp"' in shown
        assert "secret" not in shown
    finally:
        with psycopg.connect(linked.dataverse.dsn, autocommit=True) as connection:
            connection.execute("DROP ROLE page_product")


def test_a_check_of_a_side_that_is_down_says_so(admin_client: Client) -> None:
    make_map()
    shown = text(admin_client, "connection_set_check")
    assert "Something must be mended first." in shown
    assert "secret-word" not in shown


@OUTSIDE
def test_a_run_without_rights_shows_the_script_to_copy(
    linked: ConnectionSet, admin_client: Client
) -> None:
    owner = linked.finops.dsn
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("ALTER TABLE customers ADD hold text")
        connection.execute("DROP ROLE IF EXISTS run_product")
        connection.execute("CREATE ROLE run_product LOGIN PASSWORD 'secret'")
    with psycopg.connect(linked.dataverse.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE accounts ADD name text, ADD onhold text")
    try:
        host = owner.rpartition("@")[2]
        services.update_environment(
            linked.finops, dsn=f"postgresql://run_product:secret@{host}"
        )
        answer = admin_client.post(
            reverse("map_action"),
            {"action": "run", "map": TableMap.objects.get().pk, "master": "finops"},
        )
        shown = answer.content.decode()
        assert answer.status_code == 409
        assert 'data-copy="refused-script"' in shown
        assert shown.count("CREATE PUBLICATION") == 1
    finally:
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("DROP ROLE run_product")
