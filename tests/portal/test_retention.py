"""Old closed errors, conflicts and events go, by policy, and never in silence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal import retention
from portal.activity.models import ActivityEvent
from portal.alerts import rule_services, services, telling
from portal.alerts.models import Alert, Delivery
from portal.errors.models import Conflict, ErrorGroup, SyncError
from portal.errors.tasks import purge
from tests.factories import make_map
from tests.portal.page_rows import ago, make_error, make_event

pytestmark = pytest.mark.django_db

DAY = 86_400


def test_closed_errors_past_their_days_go_and_open_ones_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    settings.ERRORS_KEPT_DAYS = 30
    table_map = make_map()
    for number, state in enumerate(("resolved", "superseded", "dismissed") * 2):
        age = ago(DAY * (31 if number < 5 else 29))
        make_error(table_map, f"usmf / {number}", state=state, closed_at=age)
    make_error(table_map, "usmf / old", last_seen=ago(DAY * 400))
    make_error(
        table_map, "usmf / x", code="refused", state="resolved", closed_at=ago(DAY * 31)
    )
    ErrorGroup.objects.filter(code="refused").update(last_seen=ago(DAY * 31))
    purge()
    assert set(SyncError.objects.values_list("key_text", flat=True)) == {
        "usmf / 5",
        "usmf / old",
    }
    assert ErrorGroup.objects.get().kept_count == 2  # the empty cause is gone too
    event = ActivityEvent.objects.get(kind="errors.purge")
    assert event.details == {"purged": 6, "days": 30}
    assert "6 closed errors older than 30 days" in event.message
    purge()
    assert ActivityEvent.objects.filter(kind="errors.purge").count() == 1


def test_conflicts_and_events_go_by_their_own_policies(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    table_map = make_map()
    settings.CONFLICTS_KEPT_DAYS, settings.ACTIVITY_KEPT_DAYS = 10, 20
    for number, winner in enumerate(("finops", "undecided", "finops", "dataverse")):
        Conflict.objects.create(
            table_map=table_map,
            direction="finops_to_dataverse",
            key_text=f"{number}",
            column="name",
            policy="manual",
            winner=winner,
        )
    Conflict.objects.exclude(key_text="3").update(created_at=ago(DAY * 11))
    ActivityEvent.objects.all().delete()
    for _ in range(5):
        make_event(table_map)
    old = list(ActivityEvent.objects.order_by("pk").values_list("pk", flat=True)[:3])
    ActivityEvent.objects.filter(pk__in=old).update(created_at=ago(DAY * 21))
    found = retention.purge()
    assert (found.conflicts, found.events) == (2, 3)
    assert set(Conflict.objects.values_list("key_text", flat=True)) == {"1", "3"}
    assert ActivityEvent.objects.filter(kind="conflicts.purge").count() == 1
    assert ActivityEvent.objects.filter(kind="activity.purge").count() == 1


def test_nothing_goes_where_the_policy_keeps_for_ever(settings: Settings) -> None:
    settings.ERRORS_KEPT_DAYS = settings.ACTIVITY_KEPT_DAYS = 0
    table_map = make_map()
    make_error(table_map, state="resolved", closed_at=ago(DAY * 4_000))
    make_event(table_map)
    ActivityEvent.objects.update(created_at=timezone.now() - timedelta(days=4_000))
    before = ActivityEvent.objects.count()
    purge()
    assert SyncError.objects.count() == 1
    assert ActivityEvent.objects.count() == before


def test_alerts_that_are_over_go_with_their_messages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    settings.ALERTS_KEPT_DAYS = 180
    rule_services.save_rule("any", measure="any_alert", recipients="ops@example.com")
    for number in range(5):
        services.raise_alert("slow", "Slow.", about=str(number))
    telling.tell()
    closed = Alert.objects.filter(subject__in=["0", "1", "2", "3"])
    closed.update(closed_at=ago(DAY * 181))
    Alert.objects.filter(subject="3").update(closed_at=ago(DAY * 179))
    assert retention.purge().alerts == 3
    assert set(Alert.objects.values_list("subject", flat=True)) == {"3", "4"}
    assert Delivery.objects.count() == 2
