"""Held waves of changes: approving, rejecting, and what may not slip past them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.alerts.models import Alert
from portal.approvals import services
from portal.approvals.models import Approval, ApprovalState
from portal.environments.models import Stream
from portal.maps import services as maps
from portal.maps.models import Leg, MapState, TableMap
from portal.maps.versions import create_version
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.sync.control import PortalControl
from portal.sync.models import QueuedChange, SavedQueue
from portal.sync.saving import saved_lines
from portal.sync.skipping import resume as resume_skipping
from syncengine.mapping.model import Direction
from syncengine.ports import LegConfiguration, MassChange
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

ALL = {"approval_list", "approval_page", "approval_decide", "map_guard"}
ONWARD = Direction.FINOPS_TO_DATAVERSE
WAVE = MassChange("delete", 1200, 5000, (("usmf", "C1"), ("usmf", "C2")))


def control_of(table_map: TableMap) -> PortalControl:
    stream, _ = Stream.objects.get_or_create(
        connection_set=table_map.connection_set, source="finops"
    )
    return PortalControl(table_map.connection_set, stream)


def leg_of(table_map: TableMap) -> LegConfiguration:
    legs = control_of(table_map).configuration().legs
    return next(leg for leg in legs if leg.direction is ONWARD)


def held_map(state: MapState = MapState.RUNNING) -> tuple[TableMap, Approval]:
    """A running map with 3 held deletes and an insert behind them."""
    table_map = make_map(state=state)
    control_of(table_map).hold(leg_of(table_map), WAVE)
    for number, kind in enumerate(("delete", "delete", "delete", "insert"), 1):
        QueuedChange.objects.create(
            table_map=table_map,
            direction=ONWARD.value,
            position=f"00000000/0000000{number}",
            ordinal=0,
            transaction_id=str(number),
            committed_at=timezone.now(),
            kind=kind,
            key=["usmf", f"C{number}"],
            key_text=f"usmf / C{number}",
            columns=["account", "name"],
            new=None if kind == "delete" else [f"C{number}", "New"],
            old=[f"C{number}", "Old"] if kind == "delete" else None,
        )
    Leg.objects.filter(table_map=table_map, direction=ONWARD.value).update(
        queued_through="00000000/00000004"
    )
    return table_map, Approval.objects.get(table_map=table_map)


def mode_of(table_map: TableMap, direction: Direction = ONWARD) -> str:
    return Leg.objects.get(table_map=table_map, direction=direction.value).mode


def test_every_leg_has_the_guard_of_its_map() -> None:
    table_map = make_map(state=MapState.RUNNING)
    rule = leg_of(table_map).guard
    assert rule is not None
    assert (rule.deletes_percent, rule.updates_percent, rule.rows) == (20, 0, 100)
    dw("guard", table_map.name, "--deletes", "50", "--rows", "7", "--window", "10")
    rule = leg_of(table_map).guard
    assert rule is not None
    assert (rule.deletes_percent, rule.rows, rule.window_seconds) == (50, 7, 10)
    assert "not held" in dw("guard", table_map.name, "--off").out
    assert leg_of(table_map).guard is None
    assert dw("guard", table_map.name, "--deletes", "101").code == 1


def test_a_held_wave_queues_its_leg_alone_and_tells_people() -> None:
    table_map, approval = held_map()
    assert (mode_of(table_map), mode_of(table_map, Direction.DATAVERSE_TO_FINOPS)) == (
        "queue",
        "live",
    )
    table_map.refresh_from_db()
    assert table_map.state == MapState.RUNNING
    assert "1,200 deletes of 5,000 rows wait" in table_map.state_reason
    assert (approval.count, approval.percent) == (1200, 24)
    (alert,) = Alert.objects.filter(closed_at=None)
    assert alert.severity == "error"


def test_holding_twice_asks_once() -> None:
    table_map, _ = held_map()
    control_of(table_map).hold(leg_of(table_map), WAVE)
    assert Approval.objects.count() == 1


def test_an_approved_wave_is_carried_over_in_its_order() -> None:
    table_map, approval = held_map()
    services.approve(approval.pk)
    leg = leg_of(table_map)
    assert (leg.mode.value, leg.approved_through) == ("drain", "00000000/00000004")
    assert QueuedChange.objects.count() == 4
    table_map.refresh_from_db()
    assert table_map.state_reason == ""
    assert not Alert.objects.filter(closed_at=None).exists()
    with pytest.raises(Refusal):
        services.approve(approval.pk)


def test_a_rejected_wave_is_kept_as_a_file_and_the_map_must_be_compared() -> None:
    table_map, approval = held_map()
    services.reject(approval.pk)
    assert [one.kind for one in QueuedChange.objects.all()] == ["insert"]
    assert mode_of(table_map) == "drain"
    table_map.refresh_from_db()
    assert table_map.reconcile_needed_at is not None
    assert "3 deletes were rejected" in table_map.reconcile_reason
    saved = SavedQueue.objects.get()
    assert [line["key"] for line in saved_lines(saved)] == [
        ["usmf", "C1"],
        ["usmf", "C2"],
        ["usmf", "C3"],
    ]
    assert saved.changes == 3


def test_a_held_wave_does_not_slip_through_a_pause() -> None:
    table_map, approval = held_map()
    maps.pause([table_map])
    with pytest.raises(ActionForbidden) as refused:
        maps.resume([table_map])
    assert "approval" in refused.value.message
    with pytest.raises(ActionForbidden):
        resume_skipping([table_map], "preserve")
    services.approve(approval.pk)
    assert mode_of(table_map) == "queue"
    maps.resume([table_map])
    assert mode_of(table_map) == "drain"


def test_stopping_a_map_leaves_nothing_to_decide() -> None:
    table_map, approval = held_map()
    maps.stop([table_map])
    approval.refresh_from_db()
    assert approval.state == ApprovalState.LAPSED
    assert not Alert.objects.filter(closed_at=None).exists()


def test_a_leg_that_was_stopped_meanwhile_is_not_held() -> None:
    table_map = make_map(state=MapState.RUNNING)
    leg = leg_of(table_map)
    maps.stop([table_map])
    control_of(table_map).hold(leg, WAVE)
    assert mode_of(table_map) == "off"
    assert not Approval.objects.exists()


def test_the_command_line_lists_and_decides() -> None:
    _, approval = held_map()
    (entry,) = dw("approvals", "--json").document["approvals"]
    assert (entry["count"], entry["sample"]) == (1200, ["usmf / C1", "usmf / C2"])
    assert dw("approvals", "--approve", str(approval.pk)).code == 0
    assert "Nothing waits" in dw("approvals").out
    assert dw("approvals", "--reject", str(approval.pk)).code == 1
    assert dw("approvals", "--reject", "999999").code == 1
    with pytest.raises(NotFound):
        services.approve(999999)


def test_the_pages_show_and_decide(admin_client: Client) -> None:
    table_map, approval = held_map()
    text = admin_client.get(reverse("approval_list")).content.decode()
    assert "1,200 deletes" in text
    path = reverse("approval_page", args=[approval.pk])
    text = admin_client.get(path).content.decode()
    assert "usmf / C1" in text
    assert "24 %" in text
    decide = reverse("approval_decide", args=[approval.pk])
    admin_client.post(decide)
    assert Approval.objects.get().state == ApprovalState.OPEN
    admin_client.post(decide, {"decision": "reject"})
    decided = Approval.objects.get()
    assert decided.state == ApprovalState.REJECTED
    assert decided.decided_by is not None
    again = admin_client.post(decide, {"decision": "approve"}, follow=True)
    assert "rejected already" in again.content.decode()
    assert admin_client.get(reverse("approval_page", args=[999999])).status_code == 404
    guard = reverse("map_guard", args=[table_map.pk])
    admin_client.post(guard, {"deletes_percent": "30", "enabled": "on"})
    table_map.refresh_from_db()
    assert (table_map.guard_deletes_percent, table_map.guard_rows) == (30, 100)
    bad = admin_client.post(guard, {"deletes_percent": "many"}, follow=True)
    assert "no whole number" in bad.content.decode()


def test_nothing_held_is_said_so(admin_client: Client) -> None:
    text = admin_client.get(reverse("approval_list")).content.decode()
    assert "Nothing waits for approval" in text


def test_the_list_is_filtered_by_its_address(admin_client: Client) -> None:
    table_map, approval = held_map()
    other = make_map(make_connection_set(), name="vendors")
    decided = Approval.objects.create(
        table_map=other,
        direction=ONWARD.value,
        kind="update",
        count=3,
        rows=9,
        state=ApprovalState.REJECTED,
    )

    def found(**asked: object) -> list[int]:
        page = admin_client.get(reverse("approval_list"), asked)
        if asked:
            assert "Show all" in page.content.decode()
        return [one.pk for one in page.context["page"].rows]

    assert found() == [decided.pk, approval.pk]
    assert found(set=table_map.connection_set_id) == [approval.pk]
    assert found(map=other.pk) == [decided.pk]
    assert found(state="open", kind="delete") == [approval.pk]
    assert found(kind="update") == [decided.pk]
    assert found(state="open", kind="update") == []
    asked = {"state": "lapsed"}
    text = admin_client.get(reverse("approval_list"), asked).content.decode()
    assert "No held changes match" in text


def test_the_pages_are_for_staff_and_deciding_takes_only_post(
    client: Client, admin_user: User
) -> None:
    table_map, approval = held_map()
    reading = [
        reverse("approval_list"),
        reverse("approval_page", args=[approval.pk]),
    ]
    writing = [
        reverse("approval_decide", args=[approval.pk]),
        reverse("map_guard", args=[table_map.pk]),
    ]
    for path in reading:
        assert client.get(path).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    for path in reading:
        assert client.get(path).status_code == 403
    for path in writing:
        assert client.post(path, {"decision": "approve"}).status_code == 403
    client.force_login(admin_user)
    for path in writing:
        assert client.get(path).status_code == 405
    assert Approval.objects.get().state == ApprovalState.OPEN


@pytest.mark.django_db(transaction=True)
def test_a_filter_that_leaves_out_many_rows_asks_before_the_map_runs(
    make_database: Callable[..., str], admin_client: Client
) -> None:
    erp, crm = make_database(), make_database()
    with psycopg.connect(erp) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text)"
        )
        connection.execute(
            "INSERT INTO customers SELECT 'c' || n, 'Name', 'No' "
            "FROM generate_series(1, 150) n"
        )
    with psycopg.connect(crm) as connection:
        connection.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int)"
        )
    table_map = make_map(
        make_connection_set(
            finops=make_environment("finops", dsn=erp),
            dataverse=make_environment("dataverse", dsn=crm),
        )
    )
    maps.run([table_map], skip_initial_sync=True)
    maps.stop([table_map])
    for number, text in ((1, '(account != "c1")'), (2, '(account == "c1")')):
        create_version(
            table_map,
            make_definition(version=f"1.0.0.{number}", finops_filter=text),
        )
        if number == 1:
            maps.run([table_map], skip_initial_sync=True)
            maps.stop([table_map])
    refused = dw("run", table_map.name, "--skip-initial-sync")
    assert refused.code == 1
    assert "149 of 149 rows" in refused.err
    page = admin_client.post(
        reverse("map_action"), {"action": "run", "map": table_map.pk}
    )
    assert "Approve: run although" in page.content.decode()
    done = dw("run", table_map.name, "--skip-initial-sync", "--approve-filters")
    assert done.code == 0
