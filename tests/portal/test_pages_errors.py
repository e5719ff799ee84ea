"""The error list, one error, retry, dismiss and download."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.activity.models import ActivityEvent
from portal.errors.models import SyncError
from portal.maps.models import MapState
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import TO_FINOPS, make_error

pytestmark = pytest.mark.django_db


def keys(client: Client, **query: Any) -> list[str]:
    response = client.get(reverse("error_list"), query)
    return [row.key_text for row in response.context["page"].rows]


def test_the_list_shows_what_the_filter_asks_for(admin_client: Client) -> None:
    links = make_connection_set()
    first, second = make_map(links, name="a"), make_map(links, name="b")
    make_error(first, key="usmf / ONE")
    make_error(second, key="usmf / TWO", direction=TO_FINOPS, code="too_long")
    make_error(first, key="usmf / THREE", state="retrying")
    make_error(first, key="usmf / DONE", state="resolved")
    assert keys(admin_client) == ["usmf / THREE", "usmf / TWO", "usmf / ONE"]
    assert keys(admin_client, map=second.pk) == ["usmf / TWO"]
    assert keys(admin_client, direction=TO_FINOPS) == ["usmf / TWO"]
    assert keys(admin_client, code="too_long") == ["usmf / TWO"]
    assert keys(admin_client, state="resolved") == ["usmf / DONE"]
    assert keys(admin_client, state="open") == ["usmf / TWO", "usmf / ONE"]
    assert len(keys(admin_client, state="all")) == 4
    assert keys(admin_client, key="thr") == ["usmf / THREE"]
    assert keys(admin_client, map="nonsense", state="nonsense") == [
        "usmf / THREE",
        "usmf / TWO",
        "usmf / ONE",
    ]


def test_all_clear_differs_from_no_match(admin_client: Client) -> None:
    assert "All clear" in admin_client.get("/errors/").content.decode()
    text = admin_client.get("/errors/?code=x").content.decode()
    assert "No error matches" in text


def test_the_list_is_paged_without_counting_forever(
    admin_client: Client,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    table_map = make_map()
    for number in range(120):
        make_error(table_map, key=f"usmf / C-{number:03}")
    with django_assert_num_queries(8):
        first = admin_client.get(reverse("error_list"))
    page = first.context["page"]
    assert (len(page.rows), page.total, page.newer) == (50, 120, "")
    second = admin_client.get(f"{reverse('error_list')}?{page.older}")
    third = admin_client.get(f"{reverse('error_list')}?{second.context['page'].older}")
    assert len(third.context["page"].rows) == 20
    assert third.context["page"].older == ""


OLD_AND_NEW = """
INSERT INTO errors_syncerror (table_map_id, direction, phase, key, key_text, code,
    "column", message, remote, operation, "group", position, source_row, mapped_row,
    state, count, first_seen, last_seen, attempts)
SELECT CASE WHEN n <= 2000 AND n %% 2 = 0 THEN %s ELSE %s END, 'finops_to_dataverse',
    'live', jsonb_build_array('usmf', n), 'usmf / C-' || n, 'too_long', 'name', 'Long',
    '', 'upsert', '', '', '{}', '{}', 'open', 1, now(), now(), 0
FROM generate_series(1, 6000) n
"""


@pytest.mark.parametrize("query", [{}, {"state": "all"}, {"key": "c"}])
def test_the_pages_of_one_map_do_not_pass_newer_errors_of_others(
    admin_client: Client, query: dict[str, str]
) -> None:
    links = make_connection_set()
    old, new = make_map(links, name="old"), make_map(links, name="new")
    address = reverse("error_list")
    with connection.cursor() as cursor:
        cursor.execute(OLD_AND_NEW, [old.pk, new.pk])
        cursor.execute("ANALYZE errors_syncerror")
        with CaptureQueriesContext(connection) as asked:
            page = admin_client.get(address, {"map": old.pk, **query}).context["page"]
        (listed,) = (q["sql"] for q in asked if "LIMIT 51" in q["sql"])
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {listed}")
        passed = re.findall(r"Rows Removed by Filter': (\d+)", str(cursor.fetchall()))
        assert sum(map(int, passed)) == 0
    assert [row.key_text for row in page.rows[:2]] == ["usmf / C-2000", "usmf / C-1998"]
    last = admin_client.get(f"{address}?map={old.pk}&{page.older}").context["page"]
    assert last.rows[0].key_text == "usmf / C-1900"
    back = admin_client.get(f"{address}?map={old.pk}&{last.newer}").context["page"]
    assert back.rows == page.rows


def test_a_row_says_what_is_wrong_in_words(admin_client: Client) -> None:
    make_error(make_map(), count=7)
    text = admin_client.get(reverse("error_list")).content.decode()
    assert "The value Blocked of hold is not in its value map." in text
    assert "value_not_mapped" in text
    assert "usmf / C-001" in text


def test_one_error_shows_both_rows_and_marks_the_column(admin_client: Client) -> None:
    error = make_error(
        make_map(),
        source_row={"account": "C-001", "name": "Müller", "hold": "Blocked", "x": None},
        mapped_row={"accountnumber": "C-001", "name": "Müller"},
        remote='ERROR: null value in column "onhold"',
    )
    response = admin_client.get(reverse("error_page", args=[error.pk]))
    lines = {line.source: line for line in response.context["lines"]}
    assert lines["account"].target == "accountnumber"
    assert lines["account"].target_value == "C-001"
    assert lines["hold"].failed
    assert not lines["name"].failed
    assert lines["x"].has_source
    text = response.content.decode()
    assert "fails here" in text
    assert "carried over whole or not at all" in text
    assert "null value in column" in text
    assert "Müller" in text


def test_a_row_of_the_other_direction_is_read_the_other_way_round(
    admin_client: Client,
) -> None:
    error = make_error(
        make_map(),
        direction=TO_FINOPS,
        column="account",
        source_row={"accountnumber": "C-001"},
        mapped_row={"account": "C-001"},
    )
    response = admin_client.get(reverse("error_page", args=[error.pk]))
    (line,) = response.context["lines"]
    assert (line.source, line.target, line.failed) == ("accountnumber", "account", True)


def test_payloads_are_shown_as_text_never_as_markup(admin_client: Client) -> None:
    error = make_error(
        make_map(),
        key="usmf / <b>1</b>",
        message="<script>alert(1)</script>",
        source_row={"name": "<img src=x>"},
    )
    for path in (reverse("error_list"), reverse("error_page", args=[error.pk])):
        text = admin_client.get(path).content.decode()
        assert "<script>alert" not in text
        assert "<img src=x>" not in text
        assert "<b>1</b>" not in text


def test_retrying_one_leaves_the_others(admin_client: Client) -> None:
    table_map = make_map(state=MapState.RUNNING)
    one = make_error(table_map, key="usmf / ONE")
    make_error(table_map, key="usmf / TWO")
    response = admin_client.post(
        reverse("error_retry"), {"error": one.pk, "next": "/errors/"}, follow=True
    )
    assert "1 error will be tried again now." in response.content.decode()
    assert dict(SyncError.objects.values_list("key_text", "state")) == {
        "usmf / ONE": "retrying",
        "usmf / TWO": "open",
    }
    assert ActivityEvent.objects.filter(kind="errors.retry").count() == 1


def test_retrying_all_that_match_uses_the_filter(admin_client: Client) -> None:
    table_map = make_map()
    make_error(table_map, key="usmf / ONE", code="too_long")
    make_error(table_map, key="usmf / TWO", code="too_long")
    make_error(table_map, key="usmf / THREE")
    admin_client.post(reverse("error_retry"), {"scope": "matching", "code": "too_long"})
    assert SyncError.objects.filter(state="retrying").count() == 2
    assert SyncError.objects.get(key_text="usmf / THREE").state == "open"


def test_retrying_nothing_says_so(admin_client: Client) -> None:
    response = admin_client.post(reverse("error_retry"), follow=True)
    assert "Choose at least one open error" in response.content.decode()


def test_dismissing_asks_first(admin_client: Client) -> None:
    error = make_error(make_map())
    path = reverse("error_dismiss")
    question = admin_client.post(path, {"error": error.pk})
    assert "Dismiss 1 error?" in question.content.decode()
    assert SyncError.objects.get().state == "open"
    admin_client.post(path, {"error": error.pk, "confirmed": "yes", "reason": "A test"})
    assert SyncError.objects.get().state == "dismissed"
    text = admin_client.get(reverse("error_page", args=[error.pk])).content.decode()
    assert re.search(r"Dismissed by admin <time.*: A test</p>", text)


def test_dismissing_needs_a_reason(admin_client: Client) -> None:
    error = make_error(make_map())
    answer = admin_client.post(
        reverse("error_dismiss"), {"error": error.pk, "confirmed": "yes", "reason": " "}
    )
    assert answer.status_code == 409
    assert "Write a reason first." in answer.content.decode()
    assert SyncError.objects.get().state == "open"


def test_dismissing_all_that_match_keeps_the_filter_in_the_question(
    admin_client: Client,
) -> None:
    table_map = make_map()
    make_error(table_map, key="usmf / ONE", code="too_long")
    make_error(table_map, key="usmf / TWO")
    question = admin_client.post(
        reverse("error_dismiss"), {"scope": "matching", "code": "too_long"}
    )
    text = question.content.decode()
    assert "Dismiss 1 error?" in text
    assert '<input type="hidden" name="code" value="too_long">' in text


def test_the_live_cells_follow_the_state(admin_client: Client) -> None:
    error = make_error(make_map(), state="resolved")
    text = admin_client.get(
        reverse("error_live"), {"ids": f"{error.pk},x,99999"}
    ).content.decode()
    assert "Resolved" in text
    assert text.count("hx-swap-oob") == 3
    # The page of an error that was open offers no more what needs an open one.
    text = admin_client.get(
        reverse("error_live"), {"ids": error.pk, "page": "open"}
    ).content.decode()
    assert text.count("hx-swap-oob") == 6
    assert "Its history" in text
    assert "retry-one" not in text


def test_closed_errors_are_not_offered_to_be_retried(admin_client: Client) -> None:
    make_error(make_map(), state="dismissed")
    for state, offered in (("dismissed", False), ("all", True)):
        page = admin_client.get(reverse("error_list"), {"state": state})
        assert ('data-testid="retry-all"' in page.content.decode()) == offered


def test_the_download_has_what_the_filter_shows_and_runs_no_formula(
    admin_client: Client,
) -> None:
    table_map = make_map()
    make_error(table_map, key="=cmd|calc", code="too_long")
    make_error(table_map, key="usmf / TWO")
    response = admin_client.get(reverse("error_export"), {"code": "too_long"})
    assert response["Content-Type"].startswith("text/csv")
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(body))
    assert row["key"] == "'=cmd|calc"
    assert row["map"] == "customers"


def test_the_failing_column_comes_first_and_long_values_are_folded(
    admin_client: Client,
) -> None:
    error = make_error(
        make_map(),
        source_row={"account": "C-001", "name": "Fabrikam", "hold": "x" * 3000},
        mapped_row={},
    )
    response = admin_client.get(reverse("error_page", args=[error.pk]))
    assert response.context["lines"][0].source == "hold"
    assert "(3,000 characters)" in response.content.decode()
