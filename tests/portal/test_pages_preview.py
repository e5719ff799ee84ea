"""The preview of a map in the browser and by command: nothing is ever written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError
from django.test import Client
from django.urls import reverse

from portal.environments.models import Environment
from portal.maps.models import MapVersion, TableMap
from portal.refusals import NotFound
from portal.runs.preview import preview_map
from syncengine.mapping.model import ColumnMap, ColumnMapType, Direction
from syncengine.mapping.model import TableMap as Definition
from tests.factories import (
    UNREACHABLE,
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.page_rows import make_error
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

FORWARD = Direction.FINOPS_TO_DATAVERSE.value
BACKWARD = Direction.DATAVERSE_TO_FINOPS.value


def with_areas() -> Definition:
    """Customers whose area is found by its name and its country."""
    definition = make_definition()
    both = ColumnMapType.BOTH
    return replace(
        definition,
        columns=(
            *definition.columns,
            ColumnMap("area", "areaid.name", both),
            ColumnMap("country", "areaid.country", both),
        ),
    )


@pytest.fixture
def dsns(make_database: Callable[..., str]) -> dict[str, str]:
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text,"
            " area text, country text);"
            "INSERT INTO customers VALUES ('c1', 'One', 'No', 'North', 'SE'),"
            " ('c2', 'Two', 'All', NULL, NULL), ('c3', 'Three', 'Never', NULL, NULL),"
            " ('c4', '<b>Four', 'No', 'North', 'DK'), ('c5', 'Five', 'No', NULL, NULL)"
        )
    with psycopg.connect(made["dataverse"]) as connection:
        connection.execute(
            "CREATE TABLE areas (areaid int PRIMARY KEY, name text, country text,"
            " UNIQUE (name, country));"
            "INSERT INTO areas VALUES (1, 'North', 'SE');"
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int, areaid int REFERENCES areas);"
            "INSERT INTO accounts VALUES ('c1', 'Eins', 0, 1), ('c5', 'Five', 0, NULL)"
        )
    return made


@pytest.fixture
def customers(dsns: dict[str, str]) -> Iterator[TableMap]:
    """A map over real tables; the records of both are the same afterwards."""

    def rows() -> list[Any]:
        found = []
        for side, table in (("finops", "customers"), ("dataverse", "accounts")):
            with psycopg.connect(dsns[side]) as connection:
                query = f"SELECT t.*, xmin::text FROM {table} t ORDER BY 1"
                found += connection.execute(query).fetchall()  # type: ignore[call-overload]
        return found

    contoso = make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=dsns["finops"]),
        dataverse=make_environment("dataverse", dsn=dsns["dataverse"]),
    )
    before = rows()
    yield make_map(contoso, definition=with_areas())
    assert rows() == before


def tab(table_map: TableMap) -> str:
    return reverse("map_tab", args=[table_map.pk, "preview"])


def shown(client: Client, table_map: TableMap, **query: object) -> dict[str, Any]:
    """The records of a preview by key."""
    answer = client.get(tab(table_map), {"direction": FORWARD, **query})
    assert answer.status_code == 200
    return {one.key: one for one in answer.context["records"]}


def test_nothing_is_read_before_a_direction_is_chosen(admin_client: Client) -> None:
    page = admin_client.get(tab(make_map()))
    assert "See what would be written" in page.content.decode()
    assert [value for value, _ in page.context["ways"]] == [FORWARD, BACKWARD]


def test_a_record_is_shown_column_by_column_with_what_differs(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(tab(customers), {"direction": FORWARD, "key": "c1"})
    (one,) = page.context["records"]
    assert (one.key, one.state, one.changes) == ("c1", "differs", 1)
    rows = {each.column.column: each.column for each in one.columns}
    name = rows["name"]
    assert (name.source, name.value, name.result, name.present) == (
        "name",
        "One",
        "One",
        "Eins",
    )
    assert [c.column for c in rows.values() if c.differs] == ["name"]
    assert rows["onhold"].rule.value == "value map"
    text = page.content.decode()
    assert text.count('data-testid="changed-column"') == 1
    assert "Value map" in text
    (narrow,) = shown(admin_client, customers, key="c1", only="on").values()
    assert [each.column.column for each in narrow.columns] == ["name"]
    assert narrow.hidden == 4


def test_every_record_says_what_would_become_of_it(
    admin_client: Client, customers: TableMap
) -> None:
    records = shown(admin_client, customers, sample=5)
    assert {key: one.state for key, one in records.items()} == {
        "c1": "differs",
        "c2": "new",
        "c3": "error",
        "c4": "error",
        "c5": "same",
    }
    page = admin_client.get(tab(customers), {"direction": FORWARD, "sample": 5})
    text = page.content.decode()
    assert "&lt;b&gt;Four" in text
    assert f"?direction={FORWARD}&amp;key=c2" in text
    assert "Would fail" in text
    assert len(shown(admin_client, customers, sample=2)) == 2


def test_an_error_is_shown_with_its_column(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(tab(customers), {"direction": FORWARD, "key": "c3"})
    (one,) = page.context["records"]
    assert [each.column.column for each in one.columns if each.failing] == ["onhold"]
    assert not one.mapped
    text = page.content.decode()
    assert "<strong>onhold</strong>" in text
    assert "fails here" in text


def test_the_parts_of_a_reference_stand_one_by_one(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(tab(customers), {"direction": FORWARD, "key": "c4"})
    (one,) = page.context["records"]
    assert one.record.error_code == "lookup_not_found"
    failing = {each.column.column: each.column for each in one.columns if each.failing}
    assert {name: (c.source, c.result) for name, c in failing.items()} == {
        "areaid.name": ("area", "North"),
        "areaid.country": ("country", "DK"),
    }
    text = page.content.decode()
    assert "areas has name = North and country = DK" in text
    assert "\x1f" not in text


def test_the_other_direction_is_previewed_too(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(tab(customers), {"direction": BACKWARD, "key": "c1"})
    (one,) = page.context["records"]
    rows = {each.column.column: each.column for each in one.columns}
    assert (rows["name"].result, rows["name"].present) == ("Eins", "One")
    assert (rows["country"].value, rows["country"].result) == ("SE", "SE")


def test_a_piece_of_the_page_is_enough(
    admin_client: Client, customers: TableMap
) -> None:
    piece = admin_client.get(
        tab(customers),
        {"direction": FORWARD, "key": "c1"},
        headers={"HX-Request": "true", "HX-Target": "map-tabs"},
    ).content.decode()
    assert "<html" not in piece
    assert 'data-testid="preview-record"' in piece


def test_a_key_that_is_not_there_says_how_keys_are_written(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(tab(customers), {"direction": FORWARD, "key": "c9"})
    assert "no record with the key c9" in page.content.decode()
    assert "a key is written as account." in page.content.decode()


def test_a_sample_that_makes_no_sense_is_put_right(
    admin_client: Client, customers: TableMap
) -> None:
    for sample, right in (("0", 1), ("-1", 5), ("many", 5), ("9999", 5), ("99", 50)):
        query = {"direction": FORWARD, "sample": sample}
        page = admin_client.get(tab(customers), query)
        assert page.context["asked"].sample == right
        assert page.context["records"]


def test_a_system_that_is_down_is_a_sentence(
    admin_client: Client, customers: TableMap
) -> None:
    Environment.objects.filter(role="dataverse").update(dsn=UNREACHABLE)
    page = admin_client.get(tab(customers), {"direction": FORWARD})
    assert page.status_code == 200
    trouble = page.context["trouble"]
    assert Environment.objects.get(role="dataverse").name in trouble
    assert "secret-word" not in page.content.decode()


def test_a_map_that_does_not_fit_its_tables_says_why(
    admin_client: Client, customers: TableMap
) -> None:
    gone = ColumnMap("gone", "areaid.country", ColumnMapType.BOTH)
    lines = (*with_areas().columns[:-1], gone)
    wrong = replace(with_areas(), name="odd", columns=lines)
    odd = make_map(customers.connection_set, definition=wrong)
    page = admin_client.get(tab(odd), {"direction": FORWARD})
    assert "odd does not fit its tables" in page.context["trouble"]
    assert any("gone" in finding.message for finding in page.context["findings"])
    assert 'data-testid="findings"' in page.content.decode()


def test_a_direction_that_does_not_flow_cannot_be_chosen(
    admin_client: Client, customers: TableMap
) -> None:
    one_way = make_definition(
        "one way",
        columns=tuple(
            replace(line, type=ColumnMapType.TO_DATAVERSE)
            for line in make_definition().columns[:2]
        ),
    )
    made = make_map(customers.connection_set, definition=one_way)
    page = admin_client.get(tab(made), {"direction": BACKWARD})
    assert [value for value, _ in page.context["ways"]] == [FORWARD]
    assert "carries nothing over in that direction" in page.context["trouble"]


def test_a_map_without_version_has_nothing_to_preview(admin_client: Client) -> None:
    table_map = make_map()
    TableMap.objects.update(version=None)
    MapVersion.objects.all().delete()
    assert "no version yet" in admin_client.get(tab(table_map)).content.decode()


def test_an_error_leads_to_the_preview_of_its_record(admin_client: Client) -> None:
    error = make_error(make_map(), "usmf / C 1")
    text = admin_client.get(reverse("error_page", args=[error.pk])).content.decode()
    assert (
        f"{tab(error.table_map)}?direction={FORWARD}&amp;key=usmf%20%2F%20C%201" in text
    )


def test_the_command_takes_a_direction_and_a_sample(customers: TableMap) -> None:
    document = dw(
        "preview", "customers", "--direction", FORWARD, "--sample", "2", "--json"
    ).document
    (entry,) = document["directions"]
    assert entry["direction"] == FORWARD
    assert len(entry["records"]) == 2
    bad = dw("preview", "customers", "--key", "c4", "--json").document["directions"][0]
    (record,) = bad["records"]
    assert record["error"]["column"] == "areaid.name"
    assert record["result"] is None
    with pytest.raises((CommandError, SystemExit)):
        dw("preview", "customers", "--sample", "51")
    customers.refresh_from_db()
    with pytest.raises(NotFound, match="a key is written as accountnumber"):
        preview_map(customers, "c9", direction=Direction(BACKWARD))
