"""Pages of initial syncs and of the companies they copy."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.services import record
from portal.environments.models import ConnectionSet
from portal.maps.models import Leg, MapState, TableMap
from portal.runs.models import Chunk, InitialSyncRun, LegRun, RunState
from tests.factories import make_connection_set, make_map, make_user
from tests.portal.page_rows import make_error

pytestmark = pytest.mark.django_db
ALL = (
    *("run_list", "run_list_live", "run_cancel", "run_again", "run_skip"),
    *("run_errors", "connection_set_companies", "run_page", "run_live"),
)


def make_run(table_map: TableMap, state: str = "copying", **values: object) -> LegRun:
    """A run with one leg of 100 rows, 40 of them copied within 16 seconds."""
    begun = timezone.now() - timedelta(seconds=16)
    run = InitialSyncRun.objects.create(
        table_map=table_map, master="finops", state=state, started_at=begun, **values
    )
    leg = LegRun.objects.create(
        run=run,
        direction="finops_to_dataverse",
        order=1,
        legal_entity="usmf",
        state="copying",
        total=100,
        started_at=begun,
    )
    Chunk.objects.create(
        leg_run=leg, number=1, state="running", exported=40, inserted=39, failed=1
    )
    return leg


def text_of(client: Client, name: str, *args: object, **query: object) -> str:
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("name", ALL)
def test_only_staff_see_these_pages(client: Client, name: str) -> None:
    table_map = make_map()
    run = make_run(table_map).run
    ids = {"connection_set_companies": [table_map.connection_set_id]}
    args = ids.get(name, [run.pk] if name not in ALL[:2] else [])
    assert client.get(reverse(name, args=args)).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(reverse(name, args=args)).status_code == 403
    assert client.post(reverse(name, args=args)).status_code == 403


def test_a_copy_shows_rows_speed_and_time_left(admin_client: Client) -> None:
    table_map = make_map(state=MapState.INITIALIZING)
    make_run(table_map)
    tab = text_of(admin_client, "map_tab", table_map.pk, "initial-sync")
    assert re.search(r"40 of 100 rows, 2 rows/s, about 2\d s left", tab)
    assert "1 failed" in tab
    listed = text_of(admin_client, "run_list")
    assert "40 of 100" in listed
    assert re.search(r"2\d s", listed)
    assert "40 of 100" in text_of(admin_client, "run_list_live", state="active")
    assert "No initial sync matches" in text_of(
        admin_client, "run_list", state="failed"
    )


def test_the_list_is_narrowed_by_map_and_connection_set(admin_client: Client) -> None:
    make_run(make_map(make_connection_set(name="contoso"), name="customers"))
    make_run(make_map(make_connection_set(name="fabrikam"), name="vendors"))

    def shown(**query: str) -> list[str]:
        rows = admin_client.get(reverse("run_list"), query).context["rows"]
        return [one.run.table_map.name for one in rows]

    assert shown() == ["vendors", "customers"]
    assert shown(q="VEND") == ["vendors"]
    assert shown(set="contoso") == ["customers"]
    assert shown(set="contoso", state="failed") == []


def test_a_run_has_a_page_with_its_legs_failed_records_and_log(
    admin_client: Client,
) -> None:
    table_map = make_map(state=MapState.INITIALIZING)
    run = make_run(table_map, correlation_id="c0ffee").run
    make_error(table_map, "usmf / 1", phase="initial", last_seen=timezone.now())
    make_error(table_map, "usmf / live", last_seen=timezone.now())
    record(
        "run.noted",
        "Something was noted.",
        table_map=table_map,
        correlation_id="c0ffee",
    )
    page = text_of(admin_client, "run_page", run.pk)
    assert re.search(r"40 of 100 rows, 2 rows/s, about 2\d s left", page)
    assert 'data-key="usmf / 1"' in page
    assert "usmf / live" not in page
    assert "Something was noted." in page
    assert 'data-testid="run-cancel"' in page
    other = text_of(admin_client, "run_page", run.pk, direction="dataverse_to_finops")
    assert 'data-key="usmf / 1"' not in other
    assert "hx-swap-oob" in text_of(admin_client, "run_live", run.pk)
    InitialSyncRun.objects.update(state="cancelled", finished_at=timezone.now())
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    assert "HX-Refresh" in admin_client.get(reverse("run_live", args=[run.pk]))
    over = text_of(admin_client, "run_page", run.pk)
    for offered in ("run-again", "run-new-rows", "run-skip"):
        assert f'data-testid="{offered}"' in over
    assert admin_client.get(reverse("run_page", args=[0])).status_code == 404


def test_the_list_is_empty_at_first(admin_client: Client) -> None:
    assert "No initial sync yet" in text_of(admin_client, "run_list")


def test_cancelling_asks_first(admin_client: Client) -> None:
    table_map = make_map(state=MapState.INITIALIZING)
    run = make_run(table_map).run
    question = text_of(admin_client, "run_cancel", run.pk)
    assert "Not running afterwards" in question
    run.refresh_from_db()
    assert run.state == RunState.COPYING
    done = admin_client.post(reverse("run_cancel", args=[run.pk]), follow=True)
    assert "was cancelled" in done.content.decode()
    table_map.refresh_from_db()
    assert table_map.state == MapState.NOT_RUNNING
    again = admin_client.post(reverse("run_cancel", args=[run.pk]))
    assert again.status_code == 409
    assert "cannot be cancelled" in again.content.decode()


def test_the_errors_of_a_run_are_downloaded(admin_client: Client) -> None:
    table_map = make_map()
    run = make_run(table_map, "completed", finished_at=timezone.now()).run
    error = make_error(table_map, phase="initial", last_seen=timezone.now())
    InitialSyncRun.objects.update(finished_at=timezone.now())
    make_error(table_map, "usmf / later", last_seen=timezone.now())
    response = admin_client.get(reverse("run_errors", args=[run.pk]))
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert error.message in text
    assert "usmf / later" not in text
    assert len(text.strip().splitlines()) == 2


def test_a_company_is_added_and_removed_while_a_map_runs(admin_client: Client) -> None:
    table_map = make_map(state=MapState.RUNNING)
    link = table_map.connection_set
    path = reverse("connection_set_companies", args=[link.pk])
    assert "No company is linked" in text_of(
        admin_client, "connection_set_companies", link.pk
    )
    values = {"finops": "demf", "dataverse": "DEMF", "master": "finops"}
    done = admin_client.post(path, values, follow=True).content.decode()
    assert "1 map copies its rows now" in done
    assert "Being copied" in done
    run = InitialSyncRun.objects.get()
    assert (run.legal_entities, run.master) == (["demf"], "finops")
    table_map.refresh_from_db()
    assert table_map.state == MapState.RUNNING
    twice = admin_client.post(path, values)
    assert twice.status_code == 409
    assert "demf is linked already" in twice.content.decode()
    question = text_of(admin_client, "connection_set_companies", link.pk, remove="demf")
    assert "End the exchange of demf / DEMF?" in question
    assert ConnectionSet.objects.get().legal_entities.exists()
    admin_client.post(path, {"remove": "demf"})
    assert not ConnectionSet.objects.get().legal_entities.exists()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert not Leg.objects.filter(scope__gt=0).exists()


def test_companies_change_only_with_the_right_to(client: Client) -> None:
    link = make_connection_set()
    client.force_login(make_user(Role.OPERATOR))
    path = reverse("connection_set_companies", args=[link.pk])
    assert client.get(path).status_code == 200
    assert client.post(path, {"finops": "a", "dataverse": "A"}).status_code == 403


def test_a_copy_of_companies_that_was_cancelled_is_repeated_or_skipped(
    admin_client: Client,
) -> None:
    table_map = make_map(state=MapState.RUNNING)
    path = reverse("connection_set_companies", args=[table_map.connection_set_id])
    admin_client.post(path, {"finops": "demf", "dataverse": "DEMF"})
    first = InitialSyncRun.objects.get()
    admin_client.post(reverse("run_cancel", args=[first.pk]))
    table_map.refresh_from_db()
    assert table_map.state == MapState.RUNNING
    assert "Not copied" in admin_client.get(path).content.decode()
    tab = text_of(admin_client, "map_tab", table_map.pk, "initial-sync")
    assert "Copy again" in tab
    asked = admin_client.get(reverse("run_again", args=[first.pk]))
    assert asked.status_code == 200
    assert "Copy the rows of demf again?" in asked.content.decode()
    admin_client.post(reverse("run_again", args=[first.pk]))
    second = InitialSyncRun.objects.latest("pk")
    assert (second.legal_entities, second.state) == (["demf"], "waiting")
    refused = admin_client.post(reverse("run_skip", args=[first.pk]))
    assert refused.status_code == 409
    nothing_to_ask = admin_client.get(reverse("run_skip", args=[first.pk]))
    assert nothing_to_ask.status_code == 409
    assert "confirm-run-question" not in nothing_to_ask.content.decode()
    admin_client.post(reverse("run_cancel", args=[second.pk]))
    admin_client.post(reverse("run_skip", args=[second.pk]))
    admin_client.post(reverse("run_skip", args=[first.pk]))
    assert not Leg.objects.filter(scope__gt=0).exists()
    assert "Linked" in admin_client.get(path).content.decode()
