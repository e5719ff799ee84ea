"""The map list, the map page and its tabs, and the actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.activity.models import ActivityEvent
from portal.maps.models import MapState, TableMap
from portal.maps.ready_made import install
from syncengine.mapping.model import ColumnMap, ColumnMapType, KeyPair
from tests.factories import make_connection_set, make_definition, make_map
from tests.portal.page_rows import make_error, make_event, make_queued, make_run

pytestmark = pytest.mark.django_db


def states() -> dict[str, str]:
    return dict(TableMap.objects.values_list("name", "state"))


def test_the_list_shows_only_what_the_filter_asks_for(admin_client: Client) -> None:
    links = make_connection_set(name="contoso")
    make_map(links, name="customers", state=MapState.RUNNING)
    make_map(links, name="vendors")
    make_map(make_connection_set(name="fabrikam"), name="currencies")

    def shown(**query: str) -> list[str]:
        response = admin_client.get(reverse("map_list"), query)
        return [row.map.name for row in response.context["rows"]]

    assert shown() == ["customers", "vendors", "currencies"]
    assert shown(state="running") == ["customers"]
    assert shown(set="fabrikam") == ["currencies"]
    assert shown(q="VEND") == ["vendors"]
    assert shown(q="accounts") == ["customers", "vendors", "currencies"]
    assert shown(q="nothing") == []


def test_the_list_is_grouped_and_narrowed_by_package(admin_client: Client) -> None:
    links = make_connection_set(name="contoso")
    install(links, ["Sales tax groups", "Units"])
    make_map(links, name="customers", state=MapState.RUNNING)

    def groups(**query: str) -> dict[str, list[str]]:
        found = admin_client.get(reverse("map_list"), query).context["listed"].groups
        return {group.name: [row.map.name for row in group.rows] for group in found}

    assert set(groups()) == {""}
    by_package = groups(group="package")
    assert by_package["finance"] == ["Sales tax groups"]
    assert list(by_package)[-1] == "Own maps"
    assert by_package["Own maps"] == ["customers"]
    assert groups(package="finance") == {"": ["Sales tax groups"]}
    assert set(groups(group="state")) == {"Not running", "Running"}
    assert groups(health="off", package="Own maps") == {}


def test_a_list_without_match_differs_from_a_list_without_maps(
    admin_client: Client,
) -> None:
    assert "No maps yet" in admin_client.get("/maps/").content.decode()
    assert "No map matches" in admin_client.get("/maps/?q=x").content.decode()


def test_the_list_needs_as_many_queries_for_many_maps(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    links = make_connection_set()
    for number in range(12):
        make_error(make_map(links, name=f"map-{number}", state=MapState.RUNNING))
    ids = ",".join(str(pk) for pk in TableMap.objects.values_list("pk", flat=True))
    with django_assert_num_queries(11):
        admin_client.get(reverse("map_list"))
    with django_assert_num_queries(9):
        admin_client.get(reverse("map_list_live"), {"ids": ids})


def test_a_bulk_action_does_all(admin_client: Client) -> None:
    links = make_connection_set()
    maps = [make_map(links, name=name, state=MapState.RUNNING) for name in "ab"]
    response = admin_client.post(
        reverse("map_action"),
        {"action": "pause", "map": [one.pk for one in maps]},
        follow=True,
    )
    assert "Paused: a, b." in response.content.decode()
    assert set(states().values()) == {"paused"}
    assert ActivityEvent.objects.filter(kind="map.pause").count() == 2


def test_a_bulk_action_does_none_when_one_forbids_it_and_says_why(
    admin_client: Client,
) -> None:
    links = make_connection_set()
    running = make_map(links, name="customers", state=MapState.RUNNING)
    idle = make_map(links, name="vendors")
    response = admin_client.post(
        reverse("map_action"),
        {"action": "pause", "map": [running.pk, idle.pk]},
        follow=True,
    )
    assert "vendors is Not running, so it cannot pause" in response.content.decode()
    assert states() == {"customers": "running", "vendors": "not_running"}


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("pause", "Choose at least one map to pause."),
        ("explode", "Choose what to do"),
        ("ask_run", "Choose at least one map to run."),
        ("ask_stop", "Choose at least one map to stop."),
    ],
)
def test_an_action_without_a_map_says_what_is_missing(
    admin_client: Client, action: str, words: str
) -> None:
    response = admin_client.post(reverse("map_action"), {"action": action}, follow=True)
    assert words in response.content.decode()


def test_stop_asks_first_and_names_what_is_lost(admin_client: Client) -> None:
    table_map = make_map(state=MapState.PAUSED)
    make_queued(table_map)
    question = admin_client.post(
        reverse("map_action"), {"action": "ask_stop", "map": table_map.pk}, follow=True
    )
    assert "1 queued change will be thrown away" in question.content.decode()
    assert states() == {"customers": "paused"}
    admin_client.post(reverse("map_action"), {"action": "stop", "map": table_map.pk})
    assert states() == {"customers": "not_running"}


def test_run_asks_how_and_shows_why_it_could_not(admin_client: Client) -> None:
    table_map = make_map()
    question = admin_client.get(reverse("map_run"), {"map": table_map.pk})
    text = question.content.decode()
    assert "Copy existing rows first" in text
    assert 'value="dataverse" checked' in text
    response = admin_client.post(
        reverse("map_action"),
        {"action": "run", "map": table_map.pk, "master": "finops"},
    )
    assert response.status_code == 409
    text = response.content.decode()
    assert "cannot be reached" in text
    assert 'value="finops" checked' in text
    assert "secret-word" not in text
    assert states() == {"customers": "not_running"}


def test_a_disabled_action_says_why(admin_client: Client) -> None:
    table_map = make_map(state=MapState.PAUSED)
    text = admin_client.get(reverse("map_page", args=[table_map.pk])).content.decode()
    assert "resume it, or stop it first" in text
    assert "Not possible while Paused: Run, Pause" in text


def test_the_columns_tab_shows_every_line(admin_client: Client) -> None:
    definition = make_definition(
        finops_filter='(PartyType == "Organization")',
        dataverse_filter="customertypecode eq 3",
        key=(KeyPair("dataareaid2", "company2"),),
        columns=(
            ColumnMap(
                "hold",
                "onhold",
                ColumnMapType.BOTH_TRANSFORM,
                values=(("No", "0"), ("All", "2")),
            ),
            ColumnMap(
                None, "typecode", ColumnMapType.TO_DATAVERSE_TRANSFORM, default="3"
            ),
            ColumnMap("note", "memo", ColumnMapType.TO_DATAVERSE, default=""),
        ),
    )
    table_map = make_map(definition=definition)
    text = admin_client.get(reverse("map_page", args=[table_map.pk])).content.decode()
    for words in (
        "(PartyType == &quot;Organization&quot;)",
        "customertypecode eq 3",
        "dataareaid2",
        "No = 0",
        "&gt;&lt;",
        "typecode",
        "empty text",
        "contoso 1.0.0.0",
    ):
        assert words in text


def test_the_initial_sync_tab_adds_up(admin_client: Client) -> None:
    table_map = make_map(state=MapState.INITIALIZING)
    make_run(table_map, legs=2, state="copying", finished_at=None)
    path = reverse("map_tab", args=[table_map.pk, "initial-sync"])
    text = admin_client.get(path).content.decode()
    assert "100 of 200 rows" in text
    assert "4 failed" in text
    assert 'value="50"' in text
    assert "us1" in text
    live = admin_client.get(reverse("map_live", args=[table_map.pk, "initial-sync"]))
    assert 'id="runs"' in live.content.decode()


def test_a_live_piece_carries_no_form_token(admin_client: Client) -> None:
    table_map = make_map(state=MapState.INITIALIZING)
    make_run(table_map, state="copying")
    for tab in ("columns", "initial-sync", "queued", "errors"):
        live = admin_client.get(reverse("map_live", args=[table_map.pk, tab]))
        assert "csrfmiddlewaretoken" not in live.content.decode()


def test_the_queue_is_paged_and_found_by_key(admin_client: Client) -> None:
    table_map = make_map(state=MapState.PAUSED)
    for number in range(1, 61):
        make_queued(table_map, number)
    path = reverse("map_tab", args=[table_map.pk, "queued"])
    first = admin_client.get(path)
    assert first.context["page"].total == 60
    assert first.context["page"].rows[0].key_text == "usmf / C-060"
    second = admin_client.get(f"{path}?{first.context['page'].older}")
    assert len(second.context["page"].rows) == 10
    assert second.context["page"].older == ""
    back = admin_client.get(f"{path}?{second.context['page'].newer}")
    assert [row.pk for row in back.context["page"].rows] == [
        row.pk for row in first.context["page"].rows
    ]
    found = admin_client.get(path, {"key": "C-007"})
    assert [row.key_text for row in found.context["page"].rows] == ["usmf / C-007"]


def test_a_tab_shows_only_its_own_map(admin_client: Client) -> None:
    links = make_connection_set()
    mine, other = make_map(links, name="mine"), make_map(links, name="other")
    make_error(other, key="usmf / FOREIGN")
    make_queued(other)
    make_event(other, message="other: happened.")
    make_run(other, message="foreign run")
    for tab in ("initial-sync", "queued", "errors", "activity"):
        text = admin_client.get(
            reverse("map_tab", args=[mine.pk, tab]), {"map": other.pk}
        ).content.decode()
        assert "FOREIGN" not in text
        assert "C-001" not in text
        assert "other: happened." not in text
        assert "foreign run" not in text


@pytest.mark.parametrize(
    ("tab", "queries"),
    [
        ("columns", 17),
        ("initial-sync", 14),
        ("queued", 15),
        ("errors", 15),
        ("activity", 13),
    ],
)
def test_a_tab_needs_a_fixed_number_of_queries(
    admin_client: Client,
    django_assert_num_queries: Callable[[int], Any],
    tab: str,
    queries: int,
) -> None:
    table_map = make_map(state=MapState.RUNNING)
    for number in range(1, 9):
        make_error(table_map, key=f"usmf / C-{number}")
        make_queued(table_map, number)
        make_event(table_map)
        make_run(table_map, legs=3)
    with django_assert_num_queries(queries):
        admin_client.get(reverse("map_tab", args=[table_map.pk, tab]))
