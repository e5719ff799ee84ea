"""Alerts: once while they last, on the dashboard, acknowledged, closed."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.alerts import services
from portal.alerts.models import Alert
from portal.environments.models import ConnectionSet, Stream
from portal.refusals import NotFound
from portal.sync.journal import PortalJournal
from tests.factories import make_connection_set, make_map

pytestmark = pytest.mark.django_db


def make_alert(links: ConnectionSet, kind: str = "slow", **values: str) -> Alert:
    services.raise_alert(
        kind, values.pop("message", "It is slow."), connection_set=links, **values
    )
    return Alert.objects.latest("id")


def test_an_alert_is_opened_once_and_counted_while_it_lasts() -> None:
    links = make_connection_set()
    assert services.raise_alert("slow", "Slow.", connection_set=links, seconds=3)
    assert not services.raise_alert("slow", "Slower.", connection_set=links, seconds=9)
    alert = Alert.objects.get()
    assert (alert.count, alert.message) == (2, "Slower.")
    assert alert.details == {"seconds": 9}
    assert ActivityEvent.objects.filter(kind="alert.opened").count() == 1


def test_kinds_sets_and_maps_have_alerts_of_their_own() -> None:
    table_map = make_map()
    links = table_map.connection_set
    assert services.raise_alert("slow", "One.", connection_set=links)
    assert services.raise_alert("slow", "Two.", table_map=table_map)
    assert services.raise_alert("late", "Three.", connection_set=links)
    assert services.raise_alert("slow", "Four.")
    assert Alert.objects.get(message="Two.").connection_set == links


def test_a_cleared_alert_is_over_and_may_open_again() -> None:
    links = make_connection_set()
    make_alert(links)
    assert services.clear_alert("slow", connection_set=links) == 1
    assert services.clear_alert("slow", connection_set=links) == 0
    assert Alert.objects.get().closed_at is not None
    assert ActivityEvent.objects.filter(kind="alert.cleared").count() == 1
    assert services.raise_alert("slow", "Again.", connection_set=links)


def test_clearing_a_set_leaves_the_alerts_of_its_maps() -> None:
    table_map = make_map()
    services.raise_alert("slow", "Map.", table_map=table_map)
    assert services.clear_alert("slow", connection_set=table_map.connection_set) == 0
    assert services.clear_alert("slow", table_map=table_map) == 1


def test_the_streams_of_a_set_alert_for_themselves() -> None:
    links = make_connection_set()
    journals = [
        PortalJournal(links, stream)
        for stream in Stream.objects.filter(connection_set=links)
    ]
    for journal in journals:
        journal.alert("slow", "Slow.", severity="error")
    journals[0].clear_alert("slow")
    assert Alert.objects.filter(closed_at=None).count() == 1
    assert services.clear_alert("slow", connection_set=links) == 1


def test_an_alert_of_the_engine_may_be_about_a_map() -> None:
    table_map = make_map()
    journal = PortalJournal(table_map.connection_set, None)
    journal.alert("loop", "Two rules undo each other.", map_id=table_map.pk)
    assert Alert.objects.get().table_map == table_map
    journal.clear_alert("loop", map_id=table_map.pk)
    assert Alert.objects.get().closed_at is not None


def test_open_alerts_are_on_the_dashboard_until_acknowledged(
    admin_client: Client, admin_user: User
) -> None:
    links = make_connection_set()
    alert = make_alert(links, message="The log grows.")
    assert "The log grows." in admin_client.get("/").content.decode()
    admin_client.post(
        reverse("alert_mark"), {"alert": alert.pk, "action": "acknowledge"}
    )
    page = reverse("alert_page", args=[alert.pk])
    assert page not in admin_client.get("/").content.decode()
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.closed_at) == (admin_user, None)
    services.raise_alert("slow", "Worse.", connection_set=links, severity="error")
    assert "Worse." in admin_client.get("/").content.decode()


def test_the_worst_alerts_come_first_on_the_dashboard(admin_client: Client) -> None:
    links = make_connection_set()
    make_alert(links, "broken", message="Broken!", severity="error")
    for number in range(6):
        make_alert(links, f"kind-{number}", message=f"Only {number}.")
    text = admin_client.get("/").content.decode()
    assert "Broken!" in text
    assert "2 more alerts" in text


def test_the_page_lists_filters_and_closes(admin_client: Client) -> None:
    links = make_connection_set()
    alert = make_alert(links, message="First.")
    make_alert(links, "other", message="Second.", severity="error")
    path = reverse("alert_list")
    text = admin_client.get(path, {"severity": "error"}).content.decode()
    assert "Second." in text
    assert "First." not in text
    admin_client.post(reverse("alert_mark"), {"alert": alert.pk, "action": "close"})
    assert "First." not in admin_client.get(path).content.decode()
    assert "First." in admin_client.get(path, {"state": "closed"}).content.decode()
    assert (
        "No alert matches"
        in admin_client.get(
            path, {"state": "closed", "severity": "info"}
        ).content.decode()
    )


def test_an_unknown_alert_is_refused() -> None:
    with pytest.raises(NotFound, match="no alert with id 12"):
        services.acknowledge([12])


def test_the_command_lists_acknowledges_and_closes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    links = make_connection_set(name="contoso")
    alert = make_alert(links)
    call_command("dw", "alerts", "--json")
    found = json.loads(capsys.readouterr().out)["alerts"]
    assert [(one["id"], one["connection_set"]) for one in found] == [
        (alert.pk, "contoso")
    ]
    call_command("dw", "alerts", "--acknowledge", str(alert.pk), "--json")
    assert json.loads(capsys.readouterr().out) == {"acknowledged": 1}
    call_command("dw", "alerts", "--close", str(alert.pk), "--json")
    assert json.loads(capsys.readouterr().out) == {"closed": 1}
    call_command("dw", "alerts")
    assert "There are no open alerts." in capsys.readouterr().out
