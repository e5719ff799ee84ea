"""The dashboard: verdict, streams, maps, and its live piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.activity.models import ActivityEvent
from portal.errors.models import SyncError
from portal.maps.models import MapState, TableMap
from portal.overview import glance, queries
from portal.overview.status import verdict
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import (
    ago,
    make_error,
    make_event,
    make_queued,
    make_run,
    pulse,
)

pytestmark = pytest.mark.django_db


def live_address(text: str) -> str:
    """What the page polls for its changing parts."""
    found = re.search(r'hx-get="(/live/[^"]+)"', text)
    assert found
    return unescape(found[1])


def test_an_empty_portal_teaches_how_to_begin(admin_client: Client) -> None:
    text = admin_client.get("/").content.decode()
    assert "Nothing is linked yet" in text
    assert 'href="/setup/' in text


def test_all_is_well_when_everything_moves(admin_client: Client) -> None:
    links = make_connection_set(name="contoso")
    make_map(links, state=MapState.RUNNING)
    pulse(links)
    text = admin_client.get("/").content.decode()
    assert "Everything is moving" in text
    assert "contoso" in text
    assert "0.2 s" in text
    assert "4.0" in text


def test_a_map_with_open_errors_needs_you(admin_client: Client) -> None:
    links = make_connection_set()
    first = make_map(links, name="customers", state=MapState.RUNNING)
    make_map(links, name="vendors", state=MapState.RUNNING)
    pulse(links)
    make_error(first)
    text = admin_client.get("/").content.decode()
    assert "1 map needs you" in text
    assert "customers: 1 open error" in text


def test_an_error_that_is_being_retried_does_not_need_you() -> None:
    links = make_connection_set()
    table_map = make_map(links, state=MapState.RUNNING)
    pulse(links)
    make_error(table_map, state="retrying")
    make_error(table_map, key="usmf / C-002", state="resolved")
    row = queries.map_status(table_map.pk)
    assert row is not None
    assert row.health == "incomplete"
    assert row.open_errors == 1


def test_a_failed_initial_sync_needs_you_until_another_run() -> None:
    table_map = make_map()
    make_run(table_map, state="failed", message="The disk is full.")
    row = queries.map_status(table_map.pk)
    assert row is not None
    assert (row.health, row.reason) == ("needs_you", "The disk is full.")
    make_run(table_map, state="completed")
    row = queries.map_status(table_map.pk)
    assert row is not None
    assert row.health == "off"


def test_a_stream_that_falls_silent_is_never_green() -> None:
    links = make_connection_set()
    make_map(links, state=MapState.RUNNING)
    TableMap.objects.update(state_changed_at=ago(300))
    pulse(links, heartbeat_at=ago(60))
    one = queries.connection_sets()[0]
    assert {stream.state for stream in one.streams} == {"silent"}
    assert all((stream.lag_seconds or 0) > 50 for stream in one.streams)
    assert one.state == "needs_you"
    assert verdict([one]).sentence == "2 streams need you"


def test_a_stream_whose_map_just_started_is_given_time() -> None:
    links = make_connection_set()
    make_map(links, state=MapState.RUNNING)
    TableMap.objects.update(state_changed_at=ago(1))
    pulse(links, state="stopped", heartbeat_at=ago(9000))
    one = queries.connection_sets()[0]
    assert {stream.state for stream in one.streams} == {"starting"}


def test_lag_is_the_age_of_the_oldest_change_that_waits() -> None:
    links = make_connection_set()
    table_map = make_map(links, state=MapState.PAUSED)
    pulse(links)
    make_queued(table_map, 1, committed_at=ago(300))
    make_queued(table_map, 2, committed_at=ago(10))
    row = queries.map_status(table_map.pk)
    assert row is not None
    lags = {leg.direction: leg.lag_seconds or 0 for leg in row.legs}
    assert lags["finops_to_dataverse"] >= 300
    assert lags["dataverse_to_finops"] == 0.2
    assert row.queued == 2
    assert row.health == "paused"


def test_the_live_piece_carries_every_cell_once(admin_client: Client) -> None:
    links = make_connection_set()
    table_map = make_map(links, state=MapState.RUNNING)
    pulse(links)
    page = admin_client.get("/").content.decode()
    response = admin_client.get(live_address(page))
    text = response.content.decode()
    assert response.status_code == 200
    for part in ("state", "rows", "errors", "queued", "lag", "changed"):
        marker = f'id="map-{table_map.pk}-{part}"'
        assert text.count(marker) == 1
        assert page.count(marker) == 1


def test_the_live_piece_asks_for_a_reload_when_maps_came(admin_client: Client) -> None:
    response = admin_client.get(reverse("dashboard_live"), {"shape": "9-9-9-9"})
    assert response.status_code == 204
    assert response["HX-Refresh"] == "true"


def test_the_number_of_queries_does_not_grow_with_maps(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    links = make_connection_set()
    for number in range(12):
        table_map = make_map(links, name=f"map-{number}", state=MapState.RUNNING)
        make_error(table_map)
        make_queued(table_map)
    pulse(links)
    with django_assert_num_queries(18):
        text = admin_client.get("/").content.decode()
    address = live_address(text)
    with django_assert_num_queries(15):
        assert admin_client.get(address).status_code == 200


def test_maps_in_trouble_come_first_and_the_rest_is_a_link(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glance, "MAPS_SHOWN", 2)
    links = make_connection_set(name="contoso")
    maps = {
        name: make_map(links, name=name, state=MapState.RUNNING)
        for name in ("a well", "b bad", "c bad", "d bad")
    }
    pulse(links)
    for name in ("b bad", "c bad", "d bad"):
        make_error(maps[name])
    text = admin_client.get("/").content.decode()
    assert re.findall(r'data-testid="map-row" data-map="([^"]+)"', text) == [
        "b bad",
        "c bad",
    ]
    more = text.split('data-testid="more-maps"')[1].split("</div>")[0]
    assert "2 of 4 maps" in more
    assert "1 more needs you." in more
    assert "/maps/?set=contoso" in more
    # What is listed stays so: rows do not move while somebody reads them.
    SyncError.objects.all().delete()
    live = admin_client.get(live_address(text)).content.decode()
    assert f'id="map-{maps["b bad"].pk}-state"' in live
    assert f'id="map-{maps["a well"].pk}-state"' not in live


def test_causes_runs_and_events_are_told_in_short(admin_client: Client) -> None:
    table_map = make_map(state=MapState.RUNNING)
    make_error(table_map)
    make_error(table_map, key="usmf / C-002")
    make_run(table_map)
    make_event(table_map, message="customers: Not running to Running.")
    text = admin_client.get("/").content.decode()
    causes = text.split('data-testid="top-causes"')[1].split("</section>")[0]
    assert 'aria-label="2 records of this cause"' in causes
    runs = text.split('data-testid="last-runs"')[1].split("</section>")[0]
    assert "50 of 100 rows, 2 failed" in runs
    feed = text.split('data-testid="feed"')[1].split("</section>")[0]
    assert "customers: Not running to Running." in feed


def test_the_parts_around_the_maps_teach_while_they_are_empty(
    admin_client: Client,
) -> None:
    make_map()
    ActivityEvent.objects.all().delete()
    text = admin_client.get("/").content.decode()
    assert "No record waits." in text
    assert "Running a map copies the rows" in text
    assert "Who ran, paused or changed what" in text
    assert "The first figures come within a minute" in text


def test_counting_stops_at_the_limit(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.overview.templatetags import portal_pages

    for module in (queries, portal_pages):
        monkeypatch.setattr(module, "COUNT_LIMIT", 2)
    table_map = make_map(state=MapState.PAUSED)
    for number in range(1, 6):
        make_error(table_map, key=f"usmf / C-{number}")
        make_queued(table_map, number)
    row = queries.map_status(table_map.pk)
    assert row is not None
    # Errors are counted by the database as they come and go.
    assert (row.open_errors, row.queued) == (5, 3)
    assert "customers: 5 open errors" in admin_client.get("/").content.decode()
