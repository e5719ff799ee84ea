"""A stream is green only while something comes through it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.alerts.models import Alert
from portal.environments.models import ConnectionSet, Stream
from portal.maps import queries
from portal.maps.models import MapState
from portal.sync import canaries
from portal.sync.journal import PortalJournal
from syncengine.ports import CanaryState, StreamReport
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import pulse

pytestmark = pytest.mark.django_db


def moving(seconds_ago: float, **values: object) -> ConnectionSet:
    """A running set whose streams heard the last sign so long ago."""
    links = make_connection_set(name="contoso")
    make_map(links, state=MapState.RUNNING)
    pulse(links)
    now = timezone.now()
    Stream.objects.filter(connection_set=links).update(
        started_at=now - timedelta(hours=1),
        canary_at=now - timedelta(seconds=seconds_ago),
        canary_seconds=0.004,
        **values,
    )
    return links


def test_the_latency_from_end_to_end_is_shown(admin_client: Client) -> None:
    moving(2)
    assert "4 ms" in admin_client.get("/").content.decode()
    (entry,) = queries.status()["connection_sets"]
    assert {one["canary_seconds"] for one in entry["streams"]} == {0.004}
    assert not any(one["stalled"] for one in entry["streams"])


def test_a_stream_through_which_nothing_comes_is_stalled(admin_client: Client) -> None:
    """Also where no worker runs that could say so."""
    moving(60)
    text = admin_client.get("/").content.decode()
    assert "Stalled" in text
    assert "Everything is moving" not in text
    (entry,) = queries.status()["connection_sets"]
    assert all(one["stalled"] for one in entry["streams"])


def test_an_account_that_sends_no_signs_is_not_called_stalled(
    admin_client: Client,
) -> None:
    moving(60, canary_problem="The account may not.")
    text = admin_client.get("/").content.decode()
    assert "Stalled" not in text
    assert "not measured" in text


def test_a_stalled_stream_raises_an_alert_until_it_moves() -> None:
    links = moving(60)
    assert canaries.watch() == 2
    canaries.watch()
    assert Alert.objects.filter(kind=canaries.KIND, closed_at=None).count() == 2
    stream = Stream.objects.get(connection_set=links, source="finops")
    PortalJournal(links, stream).report(
        StreamReport(
            state="running",
            position="",
            lag_seconds=0.0,
            lag_bytes=0,
            canary=CanaryState(0.002, timezone.now()),
        )
    )
    assert canaries.watch() == 1
    assert Alert.objects.filter(kind=canaries.KIND, closed_at=None).count() == 1


def test_a_stream_that_has_just_started_gets_its_time() -> None:
    links = moving(600)
    Stream.objects.filter(connection_set=links).update(started_at=timezone.now())
    assert canaries.watch() == 0
