"""The activity log."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.activity.queries import kind_words
from portal.environments.limits import set_limits
from portal.environments.services import update_environment
from tests.factories import make_connection_set, make_environment, make_map
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
    with django_assert_num_queries(8):
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


def test_the_log_is_searched_by_person_period_and_words(admin_client: Client) -> None:
    anna = User.objects.create_user("anna")
    old = make_event(user=anna, message="Customers V3 (accounts) paused: usmf / C-001.")
    make_event(message="Value map hold_status changed.")
    day = datetime(2026, 3, 5, 23, 59, 59, tzinfo=UTC)
    ActivityEvent.objects.filter(pk=old.pk).update(created_at=day)
    assert messages(admin_client, user=anna.pk) == [old.message]
    assert messages(admin_client, user="system") == ["Value map hold_status changed."]
    assert messages(admin_client, to="2026-03-05") == [old.message]
    assert messages(admin_client, **{"from": "2026-03-05", "to": "2026-03-05"}) == [
        old.message
    ]
    assert messages(admin_client, to="2026-03-04") == []
    assert old.message not in messages(admin_client, **{"from": "2026-03-06"})
    for text in ("account", "C-001", "PAUSED usmf", "(accounts) V3"):
        assert messages(admin_client, q=text) == [old.message], text
    assert messages(admin_client, q="hold_status") == ["Value map hold_status changed."]
    assert messages(admin_client, q="paused ben") == []
    for nonsense in ("' & |:*", "\\", "%", "a:b!"):
        assert admin_client.get("/activity/", {"q": nonsense}).status_code == 200
    assert len(messages(admin_client, to="yesterday", user="anna", set="x")) == 2


def test_old_and_new_values_are_shown_and_exported(admin_client: Client) -> None:
    links = make_connection_set()
    set_limits(links, {"queue_warn_minutes": 7})
    text = admin_client.get("/activity/?kind=connection_set").content.decode()
    assert "Queue warn minutes: <del>1440</del>" in text
    assert "Connection set: limits" in text
    response = admin_client.get(reverse("activity_export"), {"q": "limits changed"})
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(body))
    assert row["changes"] == "Queue warn minutes: 1440 -> 7"


def test_a_changed_environment_shows_no_secret(admin_client: Client) -> None:
    environment = make_environment()
    update_environment(
        environment, dsn="postgresql://erp:hunter2@db.example/erp", schema="dbo"
    )
    changes = ActivityEvent.objects.get(kind="environment.changed").details["changes"]
    assert {"what": "Schema", "old": "public", "new": "dbo"} in changes
    assert "db.example" in str(changes)
    assert "hunter2" not in str(changes)
    assert "secret-word" not in str(changes)


def test_every_kind_has_words() -> None:
    assert kind_words("alert_rule.changed") == "Alert rule: changed"
    assert kind_words("sign_in.failed") == "Sign-in: failed"
    assert kind_words("something_new") == "Something new"
