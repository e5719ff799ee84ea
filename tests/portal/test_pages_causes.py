"""Errors by cause: the page, acting on a whole cause, and the command."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.errors import owning
from portal.errors.models import CauseComment, ErrorArrivals, ErrorGroup, SyncError
from portal.errors.trends import by_day, by_hour
from portal.maps.models import TableMap
from tests.factories import make_connection_set, make_map, make_user
from tests.portal.page_rows import TO_FINOPS, make_error

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin", "a@b.de", "x"))
    return client


@pytest.fixture
def errors() -> tuple[TableMap, TableMap]:
    """Three records of one cause, one of another, one of another map."""
    one = make_map(name="customers")
    two = make_map(one.connection_set, name="vendors")
    for key in ("A", "B", "C"):
        make_error(one, f"usmf / {key}", message=f"The value '{key}1' is not known.")
    make_error(one, "usmf / D", code="lookup_not_found", message="No row of groups.")
    make_error(two, "usmf / E", direction=TO_FINOPS)
    return one, two


def shown(client: Client, **query: Any) -> str:
    return client.get(reverse("cause_list"), query).content.decode()


def test_records_of_one_cause_stand_together_with_their_number(
    staff: Client, errors: tuple[TableMap, TableMap]
) -> None:
    page = shown(staff)
    assert page.count('data-testid="cause-row"') == 3
    assert page.index("is not known.") < page.index("No row of groups.")
    assert "The value &#x27;\u2026&#x27; is not known." in page
    assert "Waits for a record" in page
    assert shown(staff, map=errors[1].pk).count('data-testid="cause-row"') == 1
    assert shown(staff, code="nothing").count('data-testid="cause-row"') == 0
    assert "No cause matches" in shown(staff, code="nothing")


def test_a_whole_cause_is_retried_and_dismissed_once_that_was_confirmed(
    staff: Client, errors: tuple[TableMap, TableMap]
) -> None:
    cause = ErrorGroup.objects.get(code="value_not_mapped", table_map=errors[0])
    whole = {"scope": "matching", "cause": cause.pk}
    staff.post(reverse("error_retry"), whole)
    assert SyncError.objects.filter(state="retrying").count() == 3
    asked = staff.post(reverse("error_dismiss"), whole).content.decode()
    assert "Dismiss 3 errors?" in asked
    assert not SyncError.objects.filter(state="dismissed").exists()
    staff.post(reverse("error_dismiss"), {**whole, "confirmed": "yes", "reason": "x"})
    assert SyncError.objects.filter(state="dismissed", cause=cause).count() == 3
    assert SyncError.objects.filter(state="open").count() == 2
    assert shown(staff).count('data-testid="cause-row"') == 2
    assert shown(staff, state="all").count('data-testid="cause-row"') == 3


def test_a_cause_says_what_it_means_and_shows_samples(
    staff: Client, errors: tuple[TableMap, TableMap]
) -> None:
    cause = ErrorGroup.objects.get(code="lookup_not_found")
    page = staff.get(reverse("cause_page", args=[cause.pk])).content.decode()
    assert "The record that it refers to is not on the other side yet." in page
    assert page.count('data-testid="sample"') == 1
    assert "Fabrikam" in page
    records = staff.get(reverse("error_list"), {"cause": cause.pk}).content.decode()
    assert records.count('data-testid="error-row"') == 1
    csv = b"".join(staff.get(reverse("error_export"), {"cause": cause.pk}))  # type: ignore[arg-type]
    assert csv.count(b"\n") == 2
    assert staff.get(reverse("cause_page", args=[0])).status_code == 404


def test_the_list_is_the_same_number_of_queries_however_many_causes(
    staff: Client, django_assert_num_queries: Any
) -> None:
    one = make_map(make_connection_set())
    make_error(one, "usmf / X")
    shown(staff)
    with django_assert_num_queries(11):
        shown(staff)
    for number in range(20):
        make_error(one, f"usmf / {number}", column=f"column{number}")
    with django_assert_num_queries(11):
        shown(staff)


def test_only_staff_see_causes(client: Client) -> None:
    for address in (reverse("cause_list"), reverse("cause_page", args=[1])):
        assert client.get(address).status_code == 302


def dw(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("dw", *arguments, "--json", stdout=out, stderr=io.StringIO())
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_the_commands_list_retry_and_dismiss_causes(
    errors: tuple[TableMap, TableMap],
) -> None:
    causes = dw("errors", "--by-cause", "--map", "customers")["causes"]
    assert [(cause["open"], cause["recovery"]) for cause in causes] == [
        (3, "person"),
        (1, "waiting"),
    ]
    assert {sample["key"][-1] for sample in causes[0]["samples"]} == {"A", "B", "C"}
    first = str(causes[0]["id"])
    assert dw("retry", "--cause", first) == {"retried": 3}
    assert dw("dismiss", "--cause", first, "--yes") == {"dismissed": 3}
    assert len(dw("errors", "--by-cause")["causes"]) == 2
    assert SyncError.objects.filter(state="dismissed").count() == 3


def test_a_cause_is_given_to_somebody_and_written_about(
    staff: Client, errors: tuple[TableMap, TableMap]
) -> None:
    cause = ErrorGroup.objects.get(code="lookup_not_found")
    make_user(Role.OPERATOR, name="anna")
    page = reverse("cause_page", args=[cause.pk])
    assign, write = reverse("cause_assign", args=[cause.pk]), f"{page}comment/"
    staff.post(assign, {"person": "anna"})
    cause.refresh_from_db()
    anna = cause.assigned_to
    assert anna is not None
    assert "anna takes care" in shown(staff)
    assert shown(staff, owner=anna.pk).count('data-testid="cause-row"') == 1
    assert shown(staff, owner="nobody").count('data-testid="cause-row"') == 2
    staff.post(write, {"text": "Asked the <b>group</b>."})
    text = staff.get(page).content.decode()
    assert "Asked the &lt;b&gt;group&lt;/b&gt;." in text
    refused = staff.post(write, {"text": " "}, follow=True).content.decode()
    assert "Write a comment first." in refused
    unknown = staff.post(assign, {"person": "berta"}, follow=True).content.decode()
    assert "There is no active user berta" in unknown
    staff.post(assign, {"person": ""})
    cause.refresh_from_db()
    assert cause.assigned_to is None
    kinds = ActivityEvent.objects.filter(kind__startswith="errors.")
    assert list(kinds.order_by("pk").values_list("kind", flat=True)) == [
        "errors.assign",
        "errors.comment",
        "errors.assign",
    ]
    for address in (assign, write):
        assert staff.get(address).status_code == 405


def test_a_cause_tells_its_last_day_and_the_maps_that_share_it(
    staff: Client, errors: tuple[TableMap, TableMap]
) -> None:
    cause = ErrorGroup.objects.get(code="value_not_mapped", table_map=errors[0])
    hour = timedelta(hours=1)
    assert by_hour([cause.pk])[cause.pk].total == 3
    ErrorArrivals.objects.filter(cause=cause).update(hour=F("hour") - 30 * hour)
    assert by_hour([cause.pk])[cause.pk].total == 0
    assert by_day(cause.pk).total == 3
    again = make_error(
        make_map(errors[0].connection_set, name="more"),
        code="lookup_not_found",
        message="No row of groups.",
    )
    page = shown(staff)
    assert page.count("also in 1 other map") == 2
    assert 'aria-label="1 in the last 24 hours, 1 of them in the present hour"' in page
    other = ErrorGroup.objects.exclude(pk=again.cause_id).get(code="lookup_not_found")
    text = staff.get(reverse("cause_page", args=[other.pk])).content.decode()
    assert reverse("cause_page", args=[again.cause_id]) in text


def test_failures_are_counted_by_the_hour_and_retries_are_not(
    errors: tuple[TableMap, TableMap],
) -> None:
    error = SyncError.objects.get(key_text="usmf / A")
    cause = error.cause_id
    assert cause is not None

    def counted() -> int:
        return by_hour([cause])[cause].total

    assert counted() == 3
    now = timezone.now()
    SyncError.objects.filter(pk=error.pk).update(count=2, last_seen=now)
    assert counted() == 4
    SyncError.objects.filter(pk=error.pk).update(
        attempts=1, count=3, last_seen=timezone.now()
    )
    SyncError.objects.filter(pk=error.pk).update(state="retrying")
    assert counted() == 4
    # What belongs to a cause goes with it, without anybody reading it.
    owning.comment([cause], "Soon gone")
    SyncError.objects.all().delete()
    causes = ErrorGroup.objects.all()
    causes._raw_delete(causes.db)
    connection.check_constraints()
    assert not ErrorArrivals.objects.exists()
    assert not CauseComment.objects.exists()


def test_the_commands_assign_comment_and_dismiss_with_a_reason(
    errors: tuple[TableMap, TableMap],
) -> None:
    make_user(Role.OPERATOR, name="anna")
    cause = ErrorGroup.objects.get(code="lookup_not_found")
    chosen = ("errors", "--cause", str(cause.pk))
    (found,) = dw(*chosen, "--assign", "Anna", "--comment", "Asked")["causes"]
    assert (found["assigned_to"], sum(found["trend"])) == ("anna", 1)
    assert CauseComment.objects.get().text == "Asked"
    assert [error["key"] for error in dw(*chosen)["errors"]] == [["usmf", "D"]]
    dw("dismiss", "--cause", str(cause.pk), "--yes", "--reason", "A test record")
    error = SyncError.objects.get(cause=cause)
    assert error.dismiss_reason == "A test record"
    event = ActivityEvent.objects.get(kind="errors.dismiss")
    assert event.details["reason"] == "A test record"
