"""Metrics, health, signs of life, and the system page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.correlation import current_id
from portal.environments.models import Stream
from portal.maps.models import MapState
from portal.operations import services
from portal.operations.models import Kind, Process
from portal.operations.services import Self
from portal.runs.models import RunState
from portal.sync.control import PortalControl
from portal.sync.journal import PortalJournal
from portal.sync.models import StreamLatency
from syncengine.latency import Latencies
from syncengine.mapping.model import Direction
from syncengine.ports import ConflictRecord, StreamReport
from tests.factories import make_map, make_user
from tests.portal.page_rows import make_cause, make_error, make_queued, make_run

pytestmark = pytest.mark.django_db
TOKEN = "a long secret"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


class Scraped(dict[tuple[str, frozenset[str]], float]):
    """Samples by name and values of labels."""

    def of(self, name: str, *labels: str) -> float:
        return self["dualwrite_" + name, frozenset(labels)]


def scraped(settings: Settings) -> Scraped:
    settings.METRICS_TOKEN = TOKEN
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return Scraped(
        ((sample.name, frozenset(sample.labels.values())), sample.value)
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    )


def test_metrics_are_for_who_has_the_token_or_is_staff(
    settings: Settings, staff: Client
) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert Client().get("/metrics").status_code == 401
    for given in ("Bearer other", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x"):
        answer = Client().get("/metrics", headers={"Authorization": given})
        assert answer.status_code == 401
        assert TOKEN not in answer.content.decode()
    assert staff.get("/metrics").status_code == 200
    assert Client().post("/metrics").status_code == 405
    settings.METRICS_TOKEN = ""
    empty = Client().get("/metrics", headers={"Authorization": "Bearer "})
    assert empty.status_code == 401
    guest = Client()
    guest.force_login(User.objects.create_user("guest"))
    assert guest.get("/metrics").status_code == 401


def test_metrics_tell_what_streams_have_done(settings: Settings) -> None:
    table_map = make_map()
    links = table_map.connection_set
    stream = Stream.objects.get(connection_set=links, source="finops")
    journal = PortalJournal(links, stream)
    latencies = Latencies()
    now = timezone.now()
    latencies.note([now - timedelta(seconds=0.004), now - timedelta(seconds=2)], now)
    for _ in range(2):
        journal.report(
            StreamReport(
                "running",
                "00000000/00000001",
                1.5,
                77,
                written={table_map.pk: {"inserted": 3, "deleted": 1}},
                last_change={table_map.pk: now},
                latencies=latencies,
            )
        )
    journal.record_conflicts(
        [
            ConflictRecord(
                table_map.pk,
                Direction.FINOPS_TO_DATAVERSE,
                ("a",),
                "finops_wins",
                "finops",
                "memo",
                None,
                "x",
                "y",
            )
        ]
    )
    found = scraped(settings)
    way = (links.name, "finops")
    one = (links.name, table_map.name, "finops_to_dataverse")
    assert found.of("stream_lag_seconds", *way) == 1.5
    assert found.of("stream_lag_bytes", *way) == 77
    assert found.of("rows_total", *one, "inserted") == 6
    assert found.of("rows_total", *one, "deleted") == 2
    assert found.of("rows_total", *one, "conflict") == 1
    bucket = "commit_to_visible_seconds_bucket"
    assert found.of(bucket, *way, "0.0025") == 0
    assert found.of(bucket, *way, "0.005") == 2
    assert found.of(bucket, *way, "1.0") == 2
    assert found.of(bucket, *way, "+Inf") == 4
    total = found.of("commit_to_visible_seconds_sum", *way)
    assert total == pytest.approx(4.008)
    assert StreamLatency.objects.count() == 1


def test_metrics_tell_errors_queues_and_copies(settings: Settings) -> None:
    table_map = make_map()
    make_cause(make_error(table_map))
    make_queued(table_map)
    make_run(table_map, state=RunState.COPYING)
    found = scraped(settings)
    names = {name for name, _ in found}
    assert {
        "dualwrite_open_errors",
        "dualwrite_queued_changes",
        "dualwrite_queue_age_seconds",
        "dualwrite_copy_rows_planned",
    } <= names
    labels = (table_map.connection_set.name, table_map.name, table_map.state)
    assert found.of("map_state", *labels) == 1


def test_a_scrape_asks_as_often_with_many_maps_as_with_one(settings: Settings) -> None:
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            scraped(settings)
        return len(queries)

    first = make_map()
    make_run(first)
    before = asked()
    for number in range(20):
        make_run(make_map(name=f"m{number}", connection_set=first.connection_set))
    assert asked() == before


def test_health_tells_life_from_readiness() -> None:
    assert Client().get(reverse("health_live")).json() == {"status": "ok"}
    answer = Client().get(reverse("health_ready"))
    body = answer.json()
    assert body["database"] == "ok"
    assert body["migrations"] == "ok"
    assert answer.status_code == (200 if body["broker"] == "ok" else 503)


def test_a_database_of_another_release_is_not_ready() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'operations'")
    answer = Client().get(reverse("health_ready"))
    assert (answer.status_code, answer.json()["migrations"]) == (503, "failed")


def test_processes_sign_and_take_their_leave() -> None:
    me = Self(Kind.WORKER, "live,default", 8)
    services.seen(me)
    services.seen(me)
    row = Process.objects.get()
    assert (row.kind, row.queues, row.slots) == ("worker", "live,default", 8)
    said = StringIO()
    call_command("worker_health", stdout=said)
    assert "is alive" in said.getvalue()
    Process.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(CommandError, match="No worker on"):
        call_command("worker_health")
    services.gone(me)
    assert not Process.objects.exists()


def test_a_silent_beat_raises_an_alert_until_it_is_back() -> None:
    services.look_after()
    assert not Alert.objects.exists()
    services.ticked()
    Process.objects.update(seen_at=timezone.now() - timedelta(minutes=2))
    services.look_after()
    services.look_after()
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity, alert.closed_at) == (
        "beat_silent",
        "error",
        None,
    )
    assert "Start the beat process" in alert.message
    services.ticked()
    services.look_after()
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_rows_of_processes_killed_long_ago_go() -> None:
    services.seen(Self(Kind.BEAT))
    services.ticked()
    Process.objects.update(seen_at=timezone.now() - timedelta(days=2))
    services.look_after()
    assert [row.kind for row in Process.objects.all()] == ["ticks"]


def test_the_system_page_says_what_is_wrong(staff: Client) -> None:
    page = staff.get(reverse("system")).content.decode()
    assert "No worker is running" in page
    assert "No process has been heard of yet" in page
    services.seen(Self(Kind.WORKER, "live", 8))
    Process.objects.create(
        kind=Kind.BEAT,
        name="beat elsewhere 7",
        host="elsewhere",
        number=7,
        version="0.0.1",
        started_at=timezone.now(),
        seen_at=timezone.now() - timedelta(minutes=3),
    )
    page = staff.get(reverse("system")).content.decode()
    assert "No worker is running" not in page
    assert "Beat on elsewhere (process 7) has fallen silent" in page
    assert page.count('data-testid="process"') == 2


def test_the_command_tells_the_same_and_fails_while_something_is_wrong() -> None:
    services.seen(Self(Kind.WORKER, "live", 8))
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("dw", "system", "--json", stdout=out, stderr=StringIO())
    assert ended.value.code == 1
    document = json.loads(out.getvalue())
    assert [one["kind"] for one in document["processes"]] == ["worker"]
    assert any("Beat is not running" in problem for problem in document["problems"])


def test_only_staff_see_the_system_page() -> None:
    assert Client().get(reverse("system")).status_code == 302
    guest = Client()
    guest.force_login(User.objects.create_user("guest"))
    assert guest.get(reverse("system")).status_code == 403


def test_a_request_its_action_and_what_comes_of_it_bear_one_id(staff: Client) -> None:
    """From the browser to the stream that does what was asked."""
    table_map = make_map(state=MapState.PAUSED)
    links = table_map.connection_set
    answer = staff.post(
        reverse("map_action"),
        {"map": table_map.pk, "action": "resume"},
        headers={"X-Correlation-ID": "0123456789abcdef"},
    )
    assert answer.headers["X-Correlation-ID"] == "0123456789abcdef"
    for stream in Stream.objects.filter(connection_set=links):
        control = PortalControl(links, stream)
        for leg in control.configuration().legs:
            assert control.drained(leg)
    mine = ActivityEvent.objects.filter(correlation_id="0123456789abcdef")
    assert {"map.resume", "map.running"} <= {event.kind for event in mine}
    other = staff.get(reverse("system"), headers={"X-Correlation-ID": "no/good id"})
    assert len(other.headers["X-Correlation-ID"]) == 32
    assert current_id() == ""


def test_a_map_whose_tables_do_not_fit_is_an_alert_until_it_goes_on() -> None:
    table_map = make_map(state=MapState.RUNNING)
    links = table_map.connection_set
    streams = Stream.objects.filter(connection_set=links)
    controls = [PortalControl(links, stream) for stream in streams]
    leg = controls[0].configuration().legs[0]
    controls[0].schema_broken(leg, "DIPV1025", "The column memo is gone.")
    alert = Alert.objects.get(kind="schema_changed")
    assert (alert.table_map, alert.severity) == (table_map, "error")
    assert "memo is gone" in alert.message
    table_map.refresh_from_db()
    assert table_map.state_reason == "DIPV1025: The column memo is gone."
    for control in controls:
        for one in control.configuration().legs:
            control.drained(one)
    alert.refresh_from_db()
    table_map.refresh_from_db()
    assert (table_map.state, table_map.state_reason) == (MapState.RUNNING, "")
    assert alert.closed_at is not None


def test_a_web_server_may_load_the_program_before_it_forks() -> None:
    """A thread or a pool from before a fork would leave the children without one."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import threading, portal.wsgi\n"
            "from django.db import connections\n"
            "print(threading.active_count(), len(connections['default']"
            "._connection_pools))",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DUALWRITE_PROCESS": "web"},
    )
    assert loaded.stdout.split() == ["1", "0"], loaded.stderr
