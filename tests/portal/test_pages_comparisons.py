"""The pages of comparisons: start, progress, differences, repair, schedule."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.comparisons.models import (
    Comparison,
    ComparisonSchedule,
)
from tests.factories import make_map
from tests.portal.page_rows import make_comparison

pytestmark = pytest.mark.django_db

ALL = {
    "comparison_start",
    "comparison_schedule",
    "comparison_page",
    "comparison_live",
    "comparison_cancel",
    "comparison_repair",
    "comparison_export",
}


def text_of(client: Client, name: str, *args: object, **query: object) -> str:
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_map_never_compared_says_so(admin_client: Client) -> None:
    text = text_of(admin_client, "map_tab", make_map().pk, "compare")
    assert "Never compared" in text
    assert "Nothing compares this map" in text


def test_an_equal_map_says_as_of_when(admin_client: Client) -> None:
    table_map = make_map()
    one = make_comparison(table_map, 0)
    assert one.started_at is not None
    words = "Equal as of"
    assert words in text_of(admin_client, "map_tab", table_map.pk, "compare")
    assert words in text_of(admin_client, "map_list")
    assert f"{one.started_at:%H:%M}" in text_of(admin_client, "map_list")


def test_a_map_that_differs_leads_to_its_comparison(admin_client: Client) -> None:
    table_map = make_map()
    one = make_comparison(table_map)
    text = text_of(admin_client, "map_list")
    assert reverse("comparison_page", args=[one.pk]) in text
    assert "2 different" in text


def test_the_page_lists_columns_of_both_sides(admin_client: Client) -> None:
    one = make_comparison(make_map())
    text = text_of(admin_client, "comparison_page", one.pk)
    assert "USMF / C1" in text
    assert "Ours 1" in text
    assert "no value" in text


def test_ten_thousand_differences_are_paged(
    admin_client: Client, django_assert_max_num_queries: object
) -> None:
    one = make_comparison(make_map(), 10_000)
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        text = text_of(admin_client, "comparison_page", one.pk)
    assert text.count('data-testid="difference-row"') == 50
    assert "10,000" in text
    assert "Older" in text


def test_the_list_is_narrowed_by_a_filter(admin_client: Client) -> None:
    one = make_comparison(make_map())
    text = text_of(admin_client, "comparison_page", one.pk, key="C1")
    assert "USMF / C1" in text
    assert "USMF / C0" not in text
    assert "No difference matches" in text_of(
        admin_client, "comparison_page", one.pk, key="nobody"
    )


def test_only_counts_are_shown_where_the_list_was_forgotten(
    admin_client: Client,
) -> None:
    one = make_comparison(make_map(), 0, different=7, in_step=False)
    assert "no longer listed" in text_of(admin_client, "comparison_page", one.pk)


def test_comparing_is_asked_for_on_the_page(admin_client: Client) -> None:
    table_map = make_map()
    response = admin_client.post(reverse("comparison_start", args=[table_map.pk]))
    one = Comparison.objects.get()
    assert response["Location"] == reverse("comparison_page", args=[one.pk])
    assert one.requested_by is not None
    assert "Waiting for a worker" in text_of(admin_client, "comparison_page", one.pk)
    live = admin_client.get(reverse("comparison_live", args=[one.pk]))
    assert "Waiting for a worker" in live.content.decode()
    again = admin_client.post(
        reverse("comparison_start", args=[table_map.pk]), follow=True
    )
    assert "being compared already" in again.content.decode()
    admin_client.post(reverse("comparison_cancel", args=[one.pk]))
    one.refresh_from_db()
    assert one.state == "cancelled"
    ended = admin_client.get(reverse("comparison_live", args=[one.pk]))
    assert ended["HX-Refresh"] == "true"


def test_a_repair_asks_first_and_says_how_many(admin_client: Client) -> None:
    one = make_comparison(make_map())
    path = reverse("comparison_repair", args=[one.pk])
    text = admin_client.get(path).content.decode()
    assert "Repair 2 records" in text
    assert not Comparison.objects.filter(winner="finops").exists()
    admin_client.post(
        path, {"confirmed": "yes", "winner": "finops", "delete_extra": "on"}
    )
    made = Comparison.objects.get(winner="finops")
    assert (made.delete_extra, made.selection) == (True, None)


def test_chosen_and_matching_differences_are_repaired_alone(
    admin_client: Client,
) -> None:
    one = make_comparison(make_map())
    first = one.found.first()
    assert first is not None
    path = reverse("comparison_repair", args=[one.pk])
    admin_client.post(
        path,
        {
            "confirmed": "yes",
            "winner": "finops",
            "scope": "selected",
            "difference": first.pk,
        },
    )
    made = Comparison.objects.get(winner="finops")
    assert made.selection == one
    assert [found.key_text for found in made.found.all()] == [first.key_text]
    Comparison.objects.filter(pk=made.pk).update(state="completed")
    admin_client.post(
        path,
        {"confirmed": "yes", "winner": "dataverse", "scope": "matching", "key": "C0"},
    )
    matching = Comparison.objects.get(winner="dataverse")
    assert [found.key_text for found in matching.found.all()] == ["USMF / C0"]


def test_choosing_nothing_is_no_repair_of_all(admin_client: Client) -> None:
    one = make_comparison(make_map())
    response = admin_client.get(
        reverse("comparison_repair", args=[one.pk]), {"scope": "selected"}, follow=True
    )
    assert "Choose at least one difference" in response.content.decode()


def test_a_repair_without_a_winner_is_refused(admin_client: Client) -> None:
    one = make_comparison(make_map())
    path = reverse("comparison_repair", args=[one.pk])
    for winner in ("", "nobody"):
        response = admin_client.post(path, {"confirmed": "yes", "winner": winner})
        assert response.status_code == 409
    assert Comparison.objects.count() == 1


def test_differences_are_downloaded(admin_client: Client) -> None:
    one = make_comparison(make_map())
    response = admin_client.get(
        reverse("comparison_export", args=[one.pk]), {"key": "C1"}
    )
    lines = b"".join(response.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1:] == ["different,USMF / C1,name,Ours 1,,,"]


def test_a_schedule_is_set_and_removed_on_the_page(admin_client: Client) -> None:
    table_map = make_map()
    path = reverse("comparison_schedule", args=[table_map.pk])
    admin_client.post(path, {"about": "map", "at": "03:15", "rows_per_second": "800"})
    schedule = ComparisonSchedule.objects.get()
    assert (schedule.time, schedule.rows_per_second) == ("03:15", 800)
    text = text_of(admin_client, "map_tab", table_map.pk, "compare")
    assert "Daily at 03:15 UTC" in text
    bad = admin_client.post(path, {"about": "map", "at": "soon"}, follow=True)
    assert "HH:MM" in bad.content.decode()
    admin_client.post(path, {"about": "map", "action": "remove"})
    assert not ComparisonSchedule.objects.exists()


def test_the_pages_are_for_staff(client: Client) -> None:
    one = make_comparison(make_map())
    paths = [
        reverse("comparison_page", args=[one.pk]),
        reverse("comparison_live", args=[one.pk]),
        reverse("comparison_repair", args=[one.pk]),
        reverse("comparison_export", args=[one.pk]),
    ]
    for path in paths:
        assert client.get(path).status_code in (204, 302)
    client.force_login(User.objects.create_user("visitor"))
    for path in paths:
        assert client.get(path).status_code == 403
    for name, pk in (
        ("comparison_start", one.table_map_id),
        ("comparison_schedule", one.table_map_id),
        ("comparison_cancel", one.pk),
    ):
        assert client.post(reverse(name, args=[pk])).status_code == 403
    assert Comparison.objects.count() == 1


def test_writing_takes_only_post_and_unknown_ones_are_missing(
    admin_client: Client,
) -> None:
    one = make_comparison(make_map())
    for name, pk in (
        ("comparison_start", one.table_map_id),
        ("comparison_schedule", one.table_map_id),
        ("comparison_cancel", one.pk),
    ):
        assert admin_client.get(reverse(name, args=[pk])).status_code == 405
    assert admin_client.get("/comparisons/999999/").status_code == 404
