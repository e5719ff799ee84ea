"""Queues: skipping to live, files, limits, maintenance of a whole set, gaps."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.comparisons.after_gaps import ask_where_needed
from portal.comparisons.models import Comparison, Trigger
from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet, Stream
from portal.maps import maintenance, reconciling
from portal.maps import services as maps
from portal.maps.dependents import paused_prerequisites, running_dependents
from portal.maps.models import Leg, MapState, TableMap
from portal.refusals import ActionForbidden, NotFound
from portal.sync import limits, skipping, spooling
from portal.sync.control import PortalControl
from portal.sync.models import QueuedChange, SavedQueue, SetAsideChange
from portal.sync.released import watch_logs
from portal.sync.saving import saved_lines
from portal.sync.set_aside import remember_tables
from syncengine.mapping.model import ColumnMap, ColumnMapType, Direction
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    ForeignKey,
    TableSchema,
    TypeFamily,
    UniqueKey,
)
from syncengine.mapping.schema_json import table_from_json, table_to_json
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.page_rows import ago, make_queued

pytestmark = pytest.mark.django_db

FORWARD = Direction.FINOPS_TO_DATAVERSE


def paused(number: int = 3, **values: object) -> TableMap:
    """A paused map with changes that wait."""
    table_map = make_map(state=MapState.PAUSED)
    for at in range(1, number + 1):
        make_queued(
            table_map,
            at,
            new=[f"name {at}"],
            old=["before"],
            size=100,
            **values,
        )
    return table_map


def stream_of(table_map: TableMap) -> Stream:
    return Stream.objects.select_related("connection_set").get(
        connection_set=table_map.connection_set, source="finops"
    )


def test_preserve_sets_the_queue_aside_and_goes_on_by_draining() -> None:
    table_map = paused()
    result = skipping.resume([table_map], "preserve")
    table_map.refresh_from_db()
    assert [one.pk for one in result.changed] == [table_map.pk]
    assert table_map.state == MapState.RESUMING
    assert table_map.reconcile_needed_at is None
    assert not QueuedChange.objects.exists()
    assert SetAsideChange.objects.count() == 3
    legs = {leg.direction: leg for leg in table_map.legs.all()}
    assert legs[FORWARD.value].mode == "drain"
    assert legs[FORWARD.value].set_aside
    assert not legs["dataverse_to_finops"].set_aside


def test_discard_saves_a_file_and_asks_for_a_comparison() -> None:
    table_map = paused()
    result = skipping.resume([table_map], "discard")
    table_map.refresh_from_db()
    assert result.discarded == 3
    assert table_map.state == MapState.RESUMING
    assert "3 queued changes were thrown away" in table_map.reconcile_reason
    assert not QueuedChange.objects.exists()
    saved = SavedQueue.objects.get()
    assert (saved.changes, saved.bytes) == (3, 300)
    lines = list(saved_lines(saved))
    assert [line["new"] for line in lines] == [{"name": f"name {n}"} for n in (1, 2, 3)]
    assert lines[0]["old"] == {"name": "before"}
    assert Alert.objects.filter(kind=reconciling.ALERT, closed_at=None).exists()
    assert ActivityEvent.objects.filter(kind="map.skipped_to_live").exists()


def test_only_paused_and_resuming_maps_skip_and_all_or_none() -> None:
    table_map = paused()
    running = make_map(table_map.connection_set, name="vendors", state=MapState.RUNNING)
    with pytest.raises(ActionForbidden):
        skipping.resume([table_map, running], "discard")
    table_map.refresh_from_db()
    assert table_map.state == MapState.PAUSED
    assert QueuedChange.objects.count() == 3
    assert not SavedQueue.objects.exists()
    maps.resume([table_map])
    skipping.resume([table_map], "preserve")
    assert SetAsideChange.objects.count() == 3


def test_what_is_set_aside_is_carried_over_while_the_map_runs() -> None:
    table_map = paused()
    skipping.resume([table_map], "preserve")
    with pytest.raises(ActionForbidden, match="while it is Running"):
        skipping.replay(table_map)
    TableMap.objects.update(state=MapState.RUNNING)
    assert skipping.replay(table_map) == 3
    assert Leg.objects.get(direction=FORWARD.value).replay
    control = PortalControl(table_map.connection_set, stream_of(table_map))
    leg = control.configuration().legs[0]
    assert (leg.set_aside, leg.replay) == (True, True)
    control.replayed(leg)
    assert Leg.objects.get(direction=FORWARD.value).replay
    SetAsideChange.objects.all().delete()
    control.replayed(leg)
    assert not Leg.objects.get(direction=FORWARD.value).replay
    with pytest.raises(NotFound):
        skipping.replay(table_map)


def test_what_is_set_aside_is_saved_before_it_is_thrown_away() -> None:
    table_map = paused()
    skipping.resume([table_map], "preserve")
    number, saved = skipping.discard_set_aside(table_map)
    assert number == 3
    assert saved is not None
    assert len(list(saved_lines(saved))) == 3
    assert not SetAsideChange.objects.exists()
    table_map.refresh_from_db()
    assert table_map.reconcile_needed_at is not None


def test_stopping_forgets_what_is_set_aside() -> None:
    table_map = paused()
    skipping.resume([table_map], "preserve")
    result = maps.stop([table_map])
    assert result.discarded == 3
    assert not SetAsideChange.objects.exists()
    assert not Leg.objects.filter(set_aside=True).exists()


def test_a_visitor_gets_no_file_and_changes_nothing(client: Client) -> None:
    table_map = paused()
    skipping.resume([table_map], "discard")
    saved = SavedQueue.objects.get()
    for path in (
        reverse("queue_export", args=[table_map.pk, "queue", "csv"]),
        reverse("saved_queue", args=[saved.pk, "csv"]),
    ):
        assert client.get(path).status_code == 302
    for path in (
        reverse("set_aside", args=[table_map.pk]),
        reverse("set_action", args=[table_map.connection_set_id]),
    ):
        assert client.post(path).status_code == 302
    table_map.connection_set.refresh_from_db()
    assert table_map.connection_set.paused_at is None


def test_the_page_offers_three_ways_and_asks_before_it_discards(
    admin_client: Client,
) -> None:
    table_map = paused()
    page = admin_client.get(reverse("map_resume"), {"map": table_map.pk})
    text = page.content.decode()
    assert "Catch up" in text
    assert "keep the queue" in text
    assert "discard the queue" in text
    assert "300" in text
    path = reverse("map_resume_do")
    values = {"map": table_map.pk, "how": "discard"}
    response = admin_client.post(path, values)
    assert response.status_code == 400
    assert QueuedChange.objects.count() == 3
    response = admin_client.post(path, {**values, "word": "discard"})
    assert response.status_code == 302
    assert not QueuedChange.objects.exists()
    tab = admin_client.get(reverse("map_tab", args=[table_map.pk, "queued"]))
    assert "saved-queue" in tab.content.decode()


def test_a_queue_is_a_file_in_both_forms(admin_client: Client) -> None:
    table_map = paused()
    path = reverse("queue_export", args=[table_map.pk, "queue", "jsonl"])
    lines = _body(admin_client, path).splitlines()
    assert json.loads(lines[0])["key"] == ["usmf", "C-001"]
    assert len(lines) == 3
    path = reverse("queue_export", args=[table_map.pk, "queue", "csv"])
    rows = list(csv.DictReader(io.StringIO(_body(admin_client, f"{path}?key=C-002"))))
    assert [json.loads(row["new"]) for row in rows] == [{"name": "name 2"}]
    skipping.resume([table_map], "discard")
    saved = SavedQueue.objects.get()
    path = reverse("saved_queue", args=[saved.pk, "jsonl"])
    assert len(_body(admin_client, path).splitlines()) == 3
    assert admin_client.get(f"/saved-queues/{saved.pk}.exe").status_code == 404


def _body(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]


def test_the_tab_replays_and_discards_what_is_set_aside(admin_client: Client) -> None:
    table_map = paused()
    skipping.resume([table_map], "preserve")
    TableMap.objects.update(state=MapState.RUNNING)
    path = reverse("set_aside", args=[table_map.pk])
    admin_client.post(path, {"action": "replay"})
    assert Leg.objects.filter(replay=True).exists()
    admin_client.post(path, {"action": "discard"})
    assert SetAsideChange.objects.count() == 3
    admin_client.post(path, {"action": "discard", "word": "discard"})
    assert not SetAsideChange.objects.exists()


def test_a_set_is_paused_and_exactly_the_maps_that_ran_go_on(
    admin_client: Client,
) -> None:
    links = make_connection_set()
    ran = make_map(links, name="one", state=MapState.RUNNING)
    held = make_map(links, name="two", state=MapState.PAUSED)
    other = make_map(links, name="three", state=MapState.RUNNING)
    maintenance.pause_set(links)
    assert _states(links) == ["paused"] * 3
    with pytest.raises(ActionForbidden, match="paused for maintenance already"):
        maintenance.pause_set(links)
    assert "Paused for maintenance" in admin_client.get("/").content.decode()
    maps.stop([other])
    result = maintenance.resume_set(links)
    assert [one.pk for one in result.changed] == [ran.pk]
    held.refresh_from_db()
    assert held.state == MapState.PAUSED
    with pytest.raises(ActionForbidden, match="not paused"):
        maintenance.resume_set(links)


def test_a_map_resumed_by_hand_leaves_the_maintenance() -> None:
    links = make_connection_set()
    one = make_map(links, name="one", state=MapState.RUNNING)
    maintenance.pause_set(links)
    maps.resume([one])
    maps.pause([one])
    assert maintenance.resume_set(links).changed == []


def test_a_set_with_a_copy_under_way_is_not_paused() -> None:
    links = make_connection_set()
    make_map(links, name="one", state=MapState.RUNNING)
    make_map(links, name="two", state=MapState.INITIALIZING)
    with pytest.raises(ActionForbidden, match=r"two of .* is being copied"):
        maintenance.pause_set(links)
    assert "running" in _states(links)


def _states(links: ConnectionSet) -> list[str]:
    return list(links.maps.order_by("pk").values_list("state", flat=True))


TEXT = ColumnType(TypeFamily.TEXT, "text")


def test_tables_survive_being_remembered() -> None:
    table = TableSchema(
        "groups",
        (Column("id", ColumnType(TypeFamily.ENUM, "mood", labels=("a", "b"))),),
        (UniqueKey("groups_pkey", ("id",), True),),
        (ForeignKey("fk", ("id",), "others", ("id",)),),
        full_identity=False,
        triggers=("one",),
    )
    document = json.loads(json.dumps(table_to_json(table)))
    assert table_from_json(document) == table


def _with_reference() -> tuple[TableMap, TableMap]:
    """Customers that refer to groups, both running, and their tables known."""
    links = make_connection_set()
    parent = make_map(
        links,
        name="groups",
        state=MapState.RUNNING,
        definition=make_definition(
            "groups", finops_table="groups", dataverse_table="crmgroups"
        ),
    )
    child = make_definition("customers")
    child = make_definition(
        "customers",
        columns=(
            *child.columns,
            ColumnMap("groupid", "crmgroup.accountnumber", ColumnMapType.BOTH),
        ),
    )
    customers = make_map(
        links, name="customers", state=MapState.RUNNING, definition=child
    )
    accounts = TableSchema(
        "accounts",
        (Column("accountnumber", TEXT), Column("crmgroup", TEXT)),
        (),
        (ForeignKey("fk", ("crmgroup",), "crmgroups", ("id",)),),
    )
    crmgroups = TableSchema("crmgroups", (Column("id", TEXT),))
    remember_tables(
        links,
        "dataverse",
        {one.name: table_to_json(one) for one in (accounts, crmgroups)},
    )
    return parent, customers


def test_maps_that_refer_to_a_paused_one_are_offered(admin_client: Client) -> None:
    parent, customers = _with_reference()
    assert [one.name for one in running_dependents([parent])] == ["customers"]
    assert running_dependents([customers]) == []
    response = admin_client.post(
        reverse("map_action"), {"action": "pause", "map": parent.pk}
    )
    assert response.status_code == 302
    text = admin_client.get(response["Location"]).content.decode()
    assert "customers" in text
    admin_client.post(
        reverse("map_action"), {"action": "pause", "map": parent.pk, "asked": "yes"}
    )
    parent.refresh_from_db()
    assert parent.state == MapState.PAUSED


def test_paused_maps_that_a_resumed_one_refers_to_are_offered(
    admin_client: Client,
) -> None:
    parent, customers = _with_reference()
    TableMap.objects.update(state=MapState.PAUSED)
    assert [one.name for one in paused_prerequisites([customers])] == ["groups"]
    assert paused_prerequisites([parent]) == []
    response = admin_client.post(
        reverse("map_action"), {"action": "resume", "map": customers.pk}
    )
    text = admin_client.get(response["Location"]).content.decode()
    assert 'data-testid="needed"' in text
    customers.refresh_from_db()
    assert customers.state == MapState.PAUSED
    admin_client.post(
        reverse("map_resume_do"), {"map": [customers.pk, parent.pk], "how": ""}
    )
    assert _states(parent.connection_set) == ["resuming", "resuming"]


def test_stopping_offers_the_running_maps_that_refer_to_it(
    admin_client: Client,
) -> None:
    parent, customers = _with_reference()
    text = admin_client.get(reverse("map_stop"), {"map": parent.pk}).content.decode()
    assert 'data-testid="dependents"' in text
    assert f'value="{customers.pk}"' in text


def test_the_commands_pause_resume_and_show(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parent, customers = _with_reference()
    links = parent.connection_set

    def dw(*line: str) -> dict[str, object]:
        call_command("dw", *line, "--json")
        return dict(json.loads(capsys.readouterr().out))

    document = dw("pause", "groups", "--related")
    assert {one["name"] for one in document["maps"]} == {"groups", "customers"}  # type: ignore[attr-defined]
    make_queued(customers, 1, new=["n"], old=["o"])
    dw("resume", "customers", "--skip-to-live", "preserve")
    document = dw("queue", "customers", "--set-aside")
    assert document["total"] == 1
    file = tmp_path / "queue.csv"
    dw("queue", "customers", "--set-aside", "--export", str(file))
    assert "usmf" in file.read_text()
    dw("queue", "customers", "--discard")
    TableMap.objects.update(state=MapState.PAUSED)
    document = dw("resume", "customers", "--related")
    assert {one["name"] for one in document["maps"]} == {"groups", "customers"}  # type: ignore[attr-defined]
    saved = dw("queue", "customers")["saved"][0]["id"]  # type: ignore[index]
    line = ("--saved", str(saved), "--export", str(tmp_path / "a.jsonl"))
    assert dw("queue", "customers", *line)["changes"] == 1
    TableMap.objects.update(state=MapState.RUNNING)
    dw("pause", "--connection-set", links.name)
    assert _states(links) == ["paused", "paused"]
    dw("resume", "--connection-set", links.name)
    assert _states(links) == ["resuming", "resuming"]
    with pytest.raises(CommandError, match="name maps"):
        call_command("dw", "pause")


def test_a_queue_near_and_beyond_its_limits_is_said_once_and_over_later() -> None:
    table_map = paused()
    links = table_map.connection_set
    limits.check()
    assert not Alert.objects.exists()
    ConnectionSet.objects.filter(pk=links.pk).update(queue_warn_bytes=360)
    limits.check()
    assert Alert.objects.get().severity == "warning"
    ConnectionSet.objects.filter(pk=links.pk).update(queue_warn_bytes=300)
    limits.check()
    assert Alert.objects.get().severity == "error"
    table_map.refresh_from_db()
    assert table_map.state == MapState.PAUSED
    QueuedChange.objects.all().delete()
    limits.check()
    assert Alert.objects.get().closed_at is not None


def test_an_old_queue_is_warned_about_and_stopped_where_the_policy_says_so() -> None:
    table_map = paused(1, committed_at=ago(86_400 + 60))
    limits.check()
    assert Alert.objects.get().severity == "error"
    ConnectionSet.objects.update(queue_policy="stop")
    limits.check()
    table_map.refresh_from_db()
    assert table_map.state == MapState.NOT_RUNNING
    assert SavedQueue.objects.get().changes == 1
    assert "limits" in table_map.state_reason


def test_spooling_keeps_what_the_target_has_not_and_forgets_the_rest() -> None:
    table_map = make_map(state=MapState.RUNNING)
    control = PortalControl(table_map.connection_set, stream_of(table_map))
    control.spool("It is away.")
    control.spool("It is away.")
    legs = {leg.direction: leg for leg in table_map.legs.all()}
    assert (legs[FORWARD.value].mode, legs[FORWARD.value].spooled) == ("drain", True)
    assert legs["dataverse_to_finops"].mode == "live"
    assert Alert.objects.filter(kind="spooling", closed_at=None).count() == 1
    for number in (1, 2, 3):
        make_queued(table_map, number)
    other = make_map(table_map.connection_set, name="other", state=MapState.PAUSED)
    make_queued(other, 1)
    control.unspool("00000000/00000002")
    left = QueuedChange.objects.filter(table_map=table_map)
    assert [one.position for one in left] == ["00000000/00000003"]
    assert QueuedChange.objects.filter(table_map=other).count() == 1
    assert not Leg.objects.filter(spooled=True).exists()
    control.unspool("00000000/00000009")
    assert left.count() == 1
    assert not Alert.objects.filter(kind="spooling", closed_at=None).exists()


def test_a_gap_marks_the_maps_in_use_and_is_over_when_they_are_equal() -> None:
    table_map = make_map(state=MapState.RUNNING)
    idle = make_map(table_map.connection_set, name="idle")
    stream = stream_of(table_map)
    spooling.gap(stream, FORWARD, "The slot was dropped.")
    table_map.refresh_from_db()
    idle.refresh_from_db()
    assert table_map.reconcile_reason == "The slot was dropped."
    assert table_map.reconcile_side == "finops"
    assert idle.reconcile_needed_at is None
    kinds = set(Alert.objects.filter(closed_at=None).values_list("kind", flat=True))
    assert kinds == {"log-gap", "reconcile-needed"}
    reconciling.need_reconcile([table_map.pk], "Another reason.")
    table_map.refresh_from_db()
    assert table_map.reconcile_side == ""
    reconciling.reconciled(table_map)
    table_map.refresh_from_db()
    assert table_map.reconcile_needed_at is None


def test_a_table_emptied_on_the_source_marks_its_map(admin_client: Client) -> None:
    table_map = make_map(state=MapState.RUNNING)
    PortalControl(table_map.connection_set, stream_of(table_map)).truncated(
        ["Customers"]
    )
    table_map.refresh_from_db()
    assert "TRUNCATE" in table_map.reconcile_reason
    assert ActivityEvent.objects.filter(kind="stream.truncated").exists()
    assert "Compare needed" in admin_client.get("/").content.decode()


def test_status_shows_sizes_ages_and_what_must_be_compared(
    capsys: pytest.CaptureFixture[str], django_assert_max_num_queries: Callable
) -> None:
    table_map = paused(2, committed_at=ago(120))
    reconciling.need_reconcile([table_map.pk], "Why.")
    with django_assert_max_num_queries(12):
        call_command("dw", "status", "--json")
    one = json.loads(capsys.readouterr().out)["connection_sets"][0]
    row = one["maps"][0]
    assert (row["queued"], row["queued_bytes"]) == (2, 200)
    assert row["queued_seconds"] >= 120
    assert (row["set_aside"], row["reconcile_needed"]) == (0, "Why.")
    assert one["streams"][0]["retained_bytes"] is None


def test_limits_are_changed_by_page_and_command(
    admin_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    links = make_connection_set(name="contoso")
    call_command("dw", "limits", "contoso", "--queue-minutes", "60", "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["limits"]["queue_warn_minutes"] == 60
    assert document["limits"]["queue_policy"] == "warn"
    path = reverse("connection_set_limits", args=[links.pk])
    assert "spool" in admin_client.get(path).content.decode()
    values = {**document["limits"], "log_limit_bytes": 1000}
    response = admin_client.post(path, values)
    assert response.status_code == 400
    assert "before anything is spooled" in response.content.decode()
    response = admin_client.post(path, {**values, "spool_bytes": 500})
    assert response.status_code == 302
    links.refresh_from_db()
    assert (links.log_limit_bytes, links.spool_bytes) == (1000, 500)
    assert PortalControl(links, Stream.objects.first()).budget().limit_bytes == 1000  # type: ignore[arg-type]
    assert ActivityEvent.objects.filter(kind="connection_set.limits").count() == 2


def test_running_maps_are_compared_once_after_a_gap() -> None:
    table_map = make_map(state=MapState.RUNNING)
    waiting = make_map(table_map.connection_set, name="two", state=MapState.RUNNING)
    make_queued(waiting)
    spooling.gap(stream_of(table_map), FORWARD, "The slot was dropped.")
    assert ask_where_needed() == 1
    assert ask_where_needed() == 0
    comparison = Comparison.objects.get()
    assert (comparison.table_map, comparison.trigger) == (table_map, Trigger.GAP)
    assert comparison.winner == ""
    Comparison.objects.all().delete()
    ConnectionSet.objects.update(after_gap="repair")
    spooling.gap(stream_of(table_map), FORWARD, "Again.")
    assert ask_where_needed() == 1
    assert Comparison.objects.get().winner == "finops"
    Comparison.objects.all().delete()
    ConnectionSet.objects.update(after_gap="leave")
    spooling.gap(stream_of(table_map), FORWARD, "And again.")
    assert ask_where_needed() == 0


@pytest.mark.django_db(transaction=True)
def test_a_log_that_nobody_reads_is_released_beyond_its_limit(
    make_database: Callable[..., str],
) -> None:
    dsn = make_database(prefix="erp")
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("CREATE TABLE customers (account text PRIMARY KEY)")
        links = make_connection_set(finops=make_environment("finops", dsn=dsn))
        table_map = make_map(links, state=MapState.RUNNING)
        Stream.objects.filter(source="finops").update(position="00000000/00000001")
        connector = connector_for(links.finops)
        connector.install(links.link_id, ["customers"])
        watch_logs()
        stream = Stream.objects.get(source="finops")
        assert stream.retained_bytes is not None
        table_map.refresh_from_db()
        assert table_map.reconcile_needed_at is None
        ConnectionSet.objects.update(log_limit_bytes=50_000)
        session.execute("SET synchronous_commit = on")
        session.execute(
            "INSERT INTO customers SELECT n::text FROM generate_series(1, 2000) n"
        )
        watch_logs()
    table_map.refresh_from_db()
    assert "while no worker ran" in table_map.reconcile_reason
    assert connector.held_log(links.link_id) is None
