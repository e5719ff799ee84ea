"""Examples that a map carries: written, run, kept with versions and files."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.editor import examples, services
from portal.editor.content import set_values
from portal.editor.texts import read_text, write_text
from portal.maps.conversion import to_engine
from portal.maps.models import TableMap
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    MapExample,
)
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

FORWARD = Direction.FINOPS_TO_DATAVERSE
BLOCKED = MapExample(
    "blocked", FORWARD, (("hold", "All"),), expect=(("onhold", "2"), ("vip", "True"))
)
STRANGE = MapExample("strange", FORWARD, (("hold", "Never"),), fails="value_not_in_map")
LEFT = MapExample("left", FORWARD, (("account", "x1"),), left_out=True)


@pytest.fixture
def customers(make_database: Callable[..., str]) -> TableMap:
    """A map with mandatory columns, a flag, a filter and three examples."""
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text NOT NULL,"
            " hold text NOT NULL, born date NOT NULL);"
            "INSERT INTO customers VALUES ('c1', 'One', 'No', '2000-02-02')"
        )
    with psycopg.connect(made["dataverse"]) as connection:
        connection.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY,"
            " name text NOT NULL, onhold int NOT NULL, born date NOT NULL, vip boolean)"
        )
    contoso = make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=made["finops"]),
        dataverse=make_environment("dataverse", dsn=made["dataverse"]),
    )
    definition = make_definition(
        columns=(
            *make_definition().columns,
            ColumnMap("born", "born", ColumnMapType.BOTH),
            ColumnMap(None, "vip", ColumnMapType.TO_DATAVERSE_TRANSFORM, "true"),
        ),
        finops_filter='account != "x1"',
        examples=(BLOCKED, STRANGE, LEFT),
    )
    table_map = make_map(contoso, definition=definition)
    table_map.refresh_from_db()
    return table_map


def results(table_map: TableMap) -> dict[str, str]:
    found = examples.run(table_map, to_engine(table_map.version))  # type: ignore[arg-type]
    return {
        one.example.name: one.trouble
        or ", ".join(f"{u.column}={u.got}" for u in one.unlike)
        for one in found
    }


def keep(client: Client, table_map: TableMap, **fields: str) -> int:
    path = reverse("map_edit_examples", args=[table_map.pk])
    answer = client.post(path, {"what": "add", "direction": FORWARD.value, **fields})
    return answer.status_code


def test_a_row_needs_only_the_columns_the_example_is_about(
    customers: TableMap,
) -> None:
    assert results(customers) == {"blocked": "", "strange": "", "left": ""}


def test_what_does_not_hold_says_what_came_instead(
    customers: TableMap, admin_user: User
) -> None:
    wrong = (
        MapExample("other", FORWARD, (("hold", "All"),), expect=(("onhold", "0"),)),
        MapExample("works", FORWARD, (("hold", "All"),), fails="value_not_in_map"),
        MapExample("carried", FORWARD, (("account", "c9"),), left_out=True),
        MapExample("unknown", FORWARD, (("nothing", "1"),), expect=(("name", "x"),)),
        MapExample("unwritten", FORWARD, (("hold", "No"),), expect=(("xyz", "x"),)),
    )
    services.begin(customers, user=admin_user)
    services.change(customers, set_values(examples=wrong), "e", user=admin_user)
    services.publish(customers, publisher="contoso", version="1.0.0.1", user=admin_user)
    customers.refresh_from_db()
    assert results(customers) == {
        "other": "onhold=2",
        "works": "The row does not fail.",
        "carried": "The row is carried over.",
        "unknown": "customers has no column nothing.",
        "unwritten": "The map does not write xyz in this direction.",
    }
    done = dw("examples", "customers", "--json")
    assert done.code == 1
    assert [one["holds"] for one in done.document["examples"]] == [False] * 5


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_examples_travel_with_versions_and_files(
    customers: TableMap, kind: str
) -> None:
    stored = to_engine(customers.version)  # type: ignore[arg-type]
    assert stored.examples == (BLOCKED, STRANGE, LEFT)
    text = write_text(customers, stored, kind)
    assert read_text(customers, make_definition(), text, kind).examples == (
        stored.examples
    )


def test_the_page_keeps_runs_and_removes_examples(
    admin_client: Client, admin_user: User, customers: TableMap
) -> None:
    services.begin(customers, user=admin_user)
    page = reverse("map_edit_part", args=[customers.pk, "examples"])
    assert admin_client.get(page).context["holding"] == 3
    fields = {"name": "free", "given": "hold = No\n", "expect": "onhold = 1\n"}
    assert keep(admin_client, customers, outcome="expect", **fields) == 302
    shown = admin_client.get(page)
    assert shown.context["holding"] == 3
    assert "became" in shown.content.decode()
    publish = admin_client.get(reverse("map_edit_publish", args=[customers.pk]))
    assert publish.context["failing"] == ["free"]
    assert keep(admin_client, customers, name="bad", outcome="expect") == 409
    assert keep(admin_client, customers, **{**fields, "given": "hold"}) == 409
    assert keep(admin_client, customers, what="record", key="c1") == 302
    last = services.read(services.draft_or_refuse(customers)).definition.examples[-1]
    assert ("born", "2000-02-02") in last.given
    assert ("onhold", "0") in last.expect
    assert admin_client.get(page).context["holding"] == 4
    assert keep(admin_client, customers, what="record", key="nobody") == 409
    assert keep(admin_client, customers, what="remove", number="3") == 302
    assert len(admin_client.get(page).context["examples"]) == 4
    assert dw("examples", "customers", "--draft").code == 0
