"""Who may see the pages, with which method, and what is shown otherwise."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.errors.models import SyncError
from portal.maps.models import TableMap
from tests.factories import make_map, make_user
from tests.portal import (
    test_approvals,
    test_pages_alerts,
    test_pages_comparisons,
    test_pages_editor,
    test_pages_files,
    test_pages_ready_made,
    test_pages_removing,
    test_pages_runs,
    test_pages_value_maps,
    test_pages_versions,
)
from tests.portal.page_rows import make_error

pytestmark = pytest.mark.django_db

READING = (
    "dashboard",
    "dashboard_live",
    "dashboard_trends",
    "map_list",
    "map_list_live",
    "map_run",
    "map_run_check",
    "map_stop",
    "error_list",
    "error_live",
    "error_export",
    "cause_list",
    "record_page",
    "activity_list",
    "activity_export",
    "alert_list",
    "map_resume",
    "map_pause",
    "alert_rule_list",
    "delivery_list",
    "inbox",
)
WRITING = (
    *("map_action", "error_retry", "error_dismiss", "alert_mark", "map_resume_do"),
    *("delivery_retry", "inbox_mark", "history_switch"),
)
TABS = (
    *("columns", "filters", "preview", "health"),
    *("versions", "initial-sync", "compare", "queued", "errors", "activity"),
)


def test_every_reading_page_is_in_the_list_of_these_tests() -> None:
    from portal.activity import urls as activity
    from portal.alerts import urls as alerts
    from portal.approvals import urls as approvals
    from portal.checks import urls as checks
    from portal.comparisons import urls as comparisons
    from portal.editor import urls as editor
    from portal.environments import urls as environments
    from portal.errors import urls as errors
    from portal.history import urls as history
    from portal.mailing import urls as mailing
    from portal.maps import urls as maps
    from portal.overview import urls as overview
    from portal.runs import urls as runs
    from portal.sync import urls as queues

    with_ids = {
        "connection_set_limits",
        "queue_export",
        "saved_queue",
        "set_action",
        "set_aside",
        "map_page",
        "map_tab",
        "map_live",
        "map_health",
        "record_asked",
        "record_fields",
        "error_page",
        "error_rows",
        "error_mend",
        "cause_page",
        "cause_assign",
        "cause_comment",
    }
    elsewhere = {
        *test_approvals.ALL,
        *test_pages_alerts.ALL,
        *test_pages_comparisons.ALL,
        *test_pages_editor.ALL,
        *test_pages_files.ALL,
        *test_pages_ready_made.ALL,
        *test_pages_removing.ALL,
        *test_pages_runs.ALL,
        *test_pages_value_maps.ALL,
        *test_pages_versions.ALL,
    }
    names = {
        pattern.name
        for module in (
            *(activity, alerts, approvals, checks, comparisons, editor),
            *(environments, errors, history, mailing, maps, overview, queues, runs),
        )
        for pattern in module.urlpatterns
    }
    assert names == {*READING, *WRITING, *with_ids, *elsewhere}


@pytest.mark.parametrize("name", [*READING, *WRITING])
def test_a_visitor_is_sent_to_sign_in(client: Client, name: str) -> None:
    response = client.get(reverse(name))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


def test_a_visitor_cannot_see_a_map_or_an_error(client: Client) -> None:
    table_map = make_map()
    error = make_error(table_map)
    for path in (
        reverse("map_page", args=[table_map.pk]),
        reverse("map_tab", args=[table_map.pk, "errors"]),
        reverse("map_live", args=[table_map.pk, "errors"]),
        reverse("map_health", args=[table_map.pk]),
        reverse("error_page", args=[error.pk]),
        reverse("error_rows", args=[error.pk]),
    ):
        assert client.get(path).status_code == 302


def test_a_visitor_cannot_act(client: Client) -> None:
    error = make_error(make_map())
    response = client.post(reverse("error_retry"), {"error": error.pk})
    assert response.status_code == 302
    assert SyncError.objects.get().state == "open"


def test_a_poll_after_signing_out_reloads_the_page(client: Client) -> None:
    response = client.get(reverse("dashboard_live"), headers={"HX-Request": "true"})
    assert response.status_code == 204
    assert response["HX-Refresh"] == "true"


@pytest.mark.parametrize("name", [*READING, *WRITING])
def test_a_user_who_is_not_staff_is_refused(client: Client, name: str) -> None:
    client.force_login(User.objects.create_user("visitor"))
    response = client.get(reverse(name))
    assert response.status_code == 403
    assert "You have no role yet" in response.content.decode()


@pytest.mark.parametrize("name", READING)
def test_an_operator_may_read(client: Client, name: str) -> None:
    client.force_login(make_user(Role.OPERATOR))
    assert client.get(reverse(name)).status_code in (200, 204, 302)


@pytest.mark.parametrize("name", READING)
def test_a_reading_page_takes_no_post(admin_client: Client, name: str) -> None:
    assert admin_client.post(reverse(name)).status_code == 405


@pytest.mark.parametrize("name", WRITING)
def test_an_action_takes_only_post(admin_client: Client, name: str) -> None:
    assert admin_client.get(reverse(name)).status_code == 405


@pytest.mark.parametrize("name", WRITING)
def test_an_action_needs_its_form_token(admin_user: User, name: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    response = client.post(reverse(name))
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_a_map_is_a_page_and_a_piece(
    admin_client: Client, tab: str
) -> None:
    table_map = make_map()
    path = reverse("map_tab", args=[table_map.pk, tab])
    whole = admin_client.get(path)
    assert whole.status_code == 200
    assert "<html" in whole.content.decode()
    piece = admin_client.get(
        path, headers={"HX-Request": "true", "HX-Target": "map-tabs"}
    )
    assert piece.status_code == 200
    assert "<html" not in piece.content.decode()
    assert "HX-Request" in piece["Vary"]
    live = admin_client.get(reverse("map_live", args=[table_map.pk, tab]))
    assert live.status_code == 200
    assert admin_client.post(path).status_code == 405


def test_what_does_not_exist_is_a_page_that_says_so(admin_client: Client) -> None:
    for path in ("/nothing-here", "/maps/999999/", "/errors/999999/"):
        response = admin_client.get(path)
        assert response.status_code == 404
        assert "There is no such page" in response.content.decode()
    table_map = make_map()
    assert admin_client.get(f"/maps/{table_map.pk}/secrets/").status_code == 404


def test_a_visitor_gets_the_missing_page_without_the_navigation(client: Client) -> None:
    response = client.get("/nothing-here")
    assert response.status_code == 404
    text = response.content.decode()
    assert "There is no such page" in text
    assert "Environments" not in text


def test_a_failing_page_says_that_it_is_our_fault(
    client: Client, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.overview import queries

    def fail() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(queries, "connection_sets", fail)
    client.force_login(admin_user)
    client.raise_request_exception = False
    response = client.get("/")
    assert response.status_code == 500
    assert "Something went wrong here" in response.content.decode()


def test_signing_in_leads_to_the_dashboard(client: Client) -> None:
    make_user(Role.OPERATOR, name="anna", password="quite-a-long-one")
    for path in (reverse("login"), "/admin/login/"):
        page = client.get(path)
        assert page.status_code == 200
        response = client.post(
            path, {"username": "anna", "password": "quite-a-long-one"}
        )
        assert response.status_code == 302
        assert response["Location"] == "/"
        client.logout()


def test_signing_in_leads_to_the_page_that_was_asked_for(client: Client) -> None:
    make_user(Role.OPERATOR, name="anna", password="quite-a-long-one")
    response = client.post(
        f"{reverse('login')}?next=/errors/",
        {"username": "anna", "password": "quite-a-long-one"},
    )
    assert response["Location"] == "/errors/"


def test_no_page_loads_anything_from_elsewhere(admin_client: Client) -> None:
    table_map = make_map()
    for path in ("/", "/maps/", f"/maps/{table_map.pk}/", "/errors/", "/activity/"):
        text = admin_client.get(path).content.decode()
        assert 'src="http' not in text
        assert 'rel="stylesheet" href="http' not in text
        assert text.count("js/htmx/htmx.js") == 1
        assert "<script>" not in text


def test_an_action_never_leads_to_another_site(admin_client: Client) -> None:
    table_map = make_map()
    response = admin_client.post(
        reverse("map_action"),
        {"action": "stop", "map": table_map.pk, "next": "https://elsewhere.example/"},
    )
    assert response["Location"] == reverse("map_list")
    assert TableMap.objects.get().state == "not_running"


def test_too_many_wrong_passwords_lock_the_name_for_a_while(client: Client) -> None:
    make_user(Role.OPERATOR, name="anna", password="quite-a-long-one")
    wrong = {"username": "anna", "password": "guess"}
    for _ in range(9):
        response = client.post(reverse("login"), wrong)
        assert response.status_code == 200
        assert "correct username and password" in response.content.decode()
    response = client.post(reverse("login"), wrong)
    assert response.status_code == 429
    assert "Too many wrong passwords" in response.content.decode()
    right = {"username": "anna", "password": "quite-a-long-one"}
    assert client.post(reverse("login"), right).status_code == 429
