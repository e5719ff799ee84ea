"""The page and the command of synchronous mode, where nothing can be armed."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.roles import Role
from portal.environments.models import ConnectionSet, Environment, Stream
from portal.overview.queries import connection_sets
from portal.synchronous import queries, services
from portal.synchronous.models import GateState, SynchronousMode
from syncengine.mapping.model import Side
from tests.factories import make_connection_set, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection_set() -> ConnectionSet:
    return make_connection_set(name="contoso")


@pytest.fixture
def address(connection_set: ConnectionSet) -> str:
    return reverse("connection_set_synchronous", args=[connection_set.pk])


def wanted(connection_set: ConnectionSet, side: Side) -> SynchronousMode:
    return services._want(connection_set, side, 3.0)


def test_the_page_says_what_it_means_before_it_is_turned_on(
    admin_client: Client, address: str
) -> None:
    text = admin_client.get(address).content.decode()
    assert "ALTER SYSTEM RESET synchronous_standby_names" in text
    assert text.count('data-state="off"') == 2
    assert "Turn off" not in text


def test_an_environment_out_of_reach_is_said_and_nothing_changes(
    admin_client: Client, address: str
) -> None:
    response = admin_client.post(
        address, {"switch": "on", "source": ["finops"], "timeout": "5"}
    )
    assert response.status_code == 409
    assert not SynchronousMode.objects.exists()
    assert not Environment.objects.filter(local_commits=True).exists()


@pytest.mark.parametrize("timeout", ["0", "121", "soon"])
def test_a_time_out_that_makes_no_sense_is_refused(
    admin_client: Client, address: str, timeout: str
) -> None:
    response = admin_client.post(
        address, {"switch": "on", "source": ["finops"], "timeout": timeout}
    )
    assert response.status_code == 409
    assert "time-out must be" in response.content.decode()


def test_the_page_shows_why_it_fell_back(
    admin_client: Client, address: str, connection_set: ConnectionSet
) -> None:
    mode = wanted(connection_set, Side.FINOPS)
    SynchronousMode.objects.update(state=GateState.ON)
    services.fallen_back(mode, "a commit waited 3 s and no worker reads the changes.")
    text = admin_client.get(address).content.decode()
    assert 'data-state="fallen_back"' in text
    assert "no worker reads the changes" in text
    alerts = admin_client.get(reverse("alert_list")).content.decode()
    assert "do not wait for the other side any more" in alerts
    shown = admin_client.get(reverse("dashboard")).content.decode()
    assert "Fallen back" in shown


@pytest.mark.parametrize(
    ("ready", "read", "reason"),
    [
        (False, False, "No map is running"),
        (False, True, "stream is about to start"),
        (True, True, "has come through"),
    ],
)
def test_both_show_why_commits_do_not_wait_yet(
    admin_client: Client,
    address: str,
    connection_set: ConnectionSet,
    ready: bool,
    read: bool,
    reason: str,
) -> None:
    wanted(connection_set, Side.FINOPS)
    SynchronousMode.objects.update(ready=ready)
    Stream.objects.update(position="0/1" if read else "")
    assert reason in admin_client.get(address).content.decode()
    out = StringIO()
    call_command("dw", "sync-mode", "contoso", stdout=out)
    assert reason in out.getvalue()


def test_it_shows_what_keeps_the_stream_from_working(
    connection_set: ConnectionSet,
) -> None:
    wanted(connection_set, Side.FINOPS)
    Stream.objects.update(position="0/1", message="erp does not answer.")
    assert "erp does not answer." in queries.modes_of(connection_set)[0]["reason"]


def test_each_fall_waits_longer_before_it_is_tried_again(
    connection_set: ConnectionSet,
) -> None:
    pauses = []
    wanted(connection_set, Side.FINOPS)
    for _ in range(9):
        SynchronousMode.objects.update(state=GateState.ON)
        services.fallen_back(SynchronousMode.objects.get(), "why")
        mode = SynchronousMode.objects.get()
        assert mode.arm_after is not None
        pauses.append(round((mode.arm_after - mode.since).total_seconds()))
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == 300


def test_what_is_not_wanted_any_more_is_not_armed(
    connection_set: ConnectionSet,
) -> None:
    mode = wanted(connection_set, Side.FINOPS)
    SynchronousMode.objects.update(wanted=False)
    assert services.armed(mode) is False
    services.settled_off(mode)
    assert SynchronousMode.objects.get().state == GateState.OFF


@pytest.mark.parametrize("state", [GateState.ARMING, GateState.ON])
def test_a_stream_that_is_being_ended_is_not_armed_again(
    connection_set: ConnectionSet, state: GateState
) -> None:
    """The guard may be in the middle of arming it, or look at it right afterwards."""
    mode = wanted(connection_set, Side.FINOPS)
    SynchronousMode.objects.update(state=state, ready=True)
    services.Ending(mode.stream).hand_over()
    assert services.armed(mode) is False
    assert SynchronousMode.objects.get().state == GateState.ARMING
    services.stream_works(mode.stream, synchronous=True)
    assert services.armed(mode) is True


def test_an_environment_out_of_reach_is_let_go_later(
    connection_set: ConnectionSet,
) -> None:
    wanted(connection_set, Side.FINOPS)
    SynchronousMode.objects.update(state=GateState.ON)
    (mode,) = services.turn_off(connection_set)
    assert not mode.wanted
    assert mode.state == GateState.ON
    assert "not off yet" in mode.reason


def test_the_command_shows_both_sides(connection_set: ConnectionSet) -> None:
    wanted(connection_set, Side.DATAVERSE)
    out = StringIO()
    call_command("dw", "sync-mode", "contoso", "--json", stdout=out)
    modes = json.loads(out.getvalue())["synchronous"]
    assert [(m["source"], m["state"]) for m in modes] == [
        ("finops", "off"),
        ("dataverse", "arming"),
    ]
    assert modes[1]["timeout_seconds"] == 3.0
    out = StringIO()
    call_command("dw", "status", stdout=out)
    assert "synchronous mode arming" in out.getvalue()
    assert any(
        stream.synchronous == "arming"
        for one in connection_sets()
        for stream in one.streams
    )


def test_only_those_who_may_change_the_set_switch_it(
    client: Client, address: str
) -> None:
    assert client.get(address).status_code == 302
    client.force_login(make_user())
    assert client.get(address).status_code == 403
    client.force_login(make_user(Role.OPERATOR))
    assert client.get(address).status_code == 200
    assert "Have commits wait" not in client.get(address).content.decode()
    assert client.post(address, {"switch": "off"}).status_code == 403
    assert client.put(address).status_code == 403
