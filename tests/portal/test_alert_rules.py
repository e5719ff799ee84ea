"""Alert rules: raised when reached, acting once in the window, over afterwards."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from portal.activity.models import ActivityEvent
from portal.alerts import rule_services, rules
from portal.alerts.models import Alert, AlertRule
from portal.environments.models import Stream
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.refusals import NotFound, Refusal
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import ago, make_error, make_queued, pulse

pytestmark = pytest.mark.django_db


def make_rule(**values: object) -> AlertRule:
    defaults: dict[str, object] = {"measure": "errors", "threshold": 10}
    rule, _ = rule_services.save_rule("many errors", **{**defaults, **values})  # type: ignore[arg-type]
    return rule


def fail(table_map: TableMap, *numbers: int, **values: object) -> None:
    for number in numbers:
        make_error(table_map, key=f"usmf / {number}", first_seen=ago(60), **values)


def open_alerts() -> list[str]:
    alerts = Alert.objects.filter(closed_at=None).order_by("pk")
    return [alert.message for alert in alerts]


def test_ten_errors_pause_the_map_exactly_once_in_the_window() -> None:
    table_map = make_map(state=MapState.RUNNING)
    other = make_map(table_map.connection_set, name="other", state=MapState.RUNNING)
    make_rule(action="pause", window_minutes=15)
    fail(table_map, *range(9))
    rules.evaluate()
    assert open_alerts() == []
    fail(table_map, 9)
    rules.evaluate()
    assert open_alerts() == [
        "customers: 10 errors within 15 minutes (rule many errors)."
    ]
    table_map.refresh_from_db()
    other.refresh_from_db()
    assert (table_map.state, other.state) == (MapState.PAUSED, MapState.RUNNING)
    maps.resume([table_map])
    TableMap.objects.filter(pk=table_map.pk).update(state=MapState.RUNNING)
    fail(table_map, 10)
    rules.evaluate()
    table_map.refresh_from_db()
    assert table_map.state == MapState.RUNNING
    assert ActivityEvent.objects.filter(kind="alert_rule.acted").count() == 1


def test_in_the_next_window_a_rule_may_act_again() -> None:
    table_map = make_map(state=MapState.RUNNING)
    make_rule(action="stop", threshold=1)
    fail(table_map, 1)
    rules.evaluate()
    table_map.refresh_from_db()
    assert table_map.state == MapState.NOT_RUNNING
    TableMap.objects.filter(pk=table_map.pk).update(state=MapState.RUNNING)
    later = timezone.now() + timedelta(minutes=16)
    make_error(table_map, key="usmf / 2", first_seen=later, last_seen=later)
    rules.evaluate(later)
    table_map.refresh_from_db()
    assert table_map.state == MapState.NOT_RUNNING


def test_an_alert_is_over_when_the_errors_have_left_the_window() -> None:
    table_map = make_map(state=MapState.RUNNING)
    make_rule(threshold=2)
    fail(table_map, 1, 2)
    rules.evaluate()
    assert len(open_alerts()) == 1
    rules.evaluate(timezone.now() + timedelta(minutes=20))
    assert open_alerts() == []


def test_a_rule_counts_only_its_codes_its_maps_and_while_it_is_enabled() -> None:
    table_map = make_map(state=MapState.RUNNING)
    elsewhere = make_map(state=MapState.RUNNING)
    make_rule(threshold=1, codes="required, check_violated", table_map=table_map)
    fail(elsewhere, 1, code="required")
    fail(table_map, 1, code="something_else")
    rules.evaluate()
    assert open_alerts() == []
    fail(table_map, 2, code="check_violated")
    rules.evaluate()
    assert len(open_alerts()) == 1
    make_rule(threshold=1, enabled=False)
    rules.evaluate()
    assert open_alerts() == []


def test_queues_and_streams_are_measured() -> None:
    links = make_connection_set(name="contoso")
    table_map = make_map(links, state=MapState.PAUSED)
    pulse(links, lag_seconds=50.0, lag_bytes=4096)
    make_queued(table_map, 1, size=600, committed_at=ago(7200))
    make_queued(table_map, 2, size=600)
    for measure, threshold in (
        ("queue_changes", 2),
        ("queue_bytes", 1000),
        ("queue_minutes", 120),
        ("lag_seconds", 50),
        ("retained_bytes", 4096),
        ("stream_down", 5),
    ):
        rule_services.save_rule(measure, measure=measure, threshold=threshold)
    rules.evaluate()
    kinds = [text.partition(" (rule ")[2].rstrip(").") for text in open_alerts()]
    assert sorted(kinds) == sorted(
        ["queue_changes", "queue_bytes", "queue_minutes"]
        + ["lag_seconds", "retained_bytes"] * 2
    )
    Stream.objects.update(heartbeat_at=ago(900), running_at=ago(900))
    rules.evaluate()
    down = [text for text in open_alerts() if "has not run" in text]
    assert len(down) == 2


def test_the_command_sets_lists_and_deletes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_map(make_connection_set(name="contoso"), name="customers")
    line = "alert-rules --set many --measure errors --threshold 10 --action pause"
    call_command("dw", *line.split(), "--map", "customers", "--json")
    rule = json.loads(capsys.readouterr().out)["rule"]
    assert (rule["map"], rule["action"], rule["window_minutes"]) == (
        "customers",
        "pause",
        15,
    )
    call_command("dw", "alert-rules")
    assert "many" in capsys.readouterr().out
    call_command("dw", "alert-rules", "--delete", "many")
    assert not AlertRule.objects.exists()
    with pytest.raises(NotFound):
        rule_services.delete_rule("many")
    with pytest.raises(Refusal, match="above zero"):
        make_rule(threshold=0)
