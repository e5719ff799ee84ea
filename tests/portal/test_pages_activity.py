"""The activity log."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import make_event

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_log(db: None) -> None:
    ActivityEvent.objects.all().delete()


def messages(client: Client, **query: Any) -> list[str]:
    response = client.get(reverse("activity_list"), query)
    return [row.message for row in response.context["page"].rows]


def test_the_log_shows_what_the_filter_asks_for(admin_client: Client) -> None:
    links = make_connection_set()
    table_map = make_map(links)
    ActivityEvent.objects.all().delete()
    make_event(table_map, message="one")
    make_event(message="two", kind="errors.retry", correlation_id="feed")
    assert messages(admin_client) == ["two", "one"]
    assert messages(admin_client, map=table_map.pk) == ["one"]
    assert messages(admin_client, set=links.pk) == ["one"]
    assert messages(admin_client, kind="errors") == ["two"]
    assert messages(admin_client, correlation="feed") == ["two"]
    assert messages(admin_client, kind="stream") == []


def test_an_empty_log_differs_from_no_match(admin_client: Client) -> None:
    assert "Nothing has happened yet" in admin_client.get("/activity/").content.decode()
    text = admin_client.get("/activity/?kind=map").content.decode()
    assert "No event matches" in text


def test_the_log_names_who_and_the_system(admin_client: Client) -> None:
    make_event(user=User.objects.create_user("anna"), message="by a person")
    make_event(message="by itself")
    text = admin_client.get("/activity/").content.decode()
    assert "anna" in text
    assert "System" in text


def test_the_log_is_paged_with_few_queries(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    table_map = make_map()
    user = User.objects.create_user("anna")
    ActivityEvent.objects.all().delete()
    for number in range(60):
        make_event(table_map, user=user, message=f"event {number}")
    with django_assert_num_queries(7):
        first = admin_client.get(reverse("activity_list"))
    page = first.context["page"]
    assert (len(page.rows), page.total) == (50, 60)
    second = admin_client.get(f"{reverse('activity_list')}?{page.older}")
    assert len(second.context["page"].rows) == 10


def test_the_download_follows_the_filter(admin_client: Client) -> None:
    table_map = make_map()
    make_event(table_map, message="one")
    make_event(message="two", kind="errors.retry")
    response = admin_client.get(reverse("activity_export"), {"kind": "errors"})
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(body))
    assert (row["message"], row["kind"]) == ("two", "errors.retry")
