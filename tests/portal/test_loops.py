"""A loop pauses its maps and names both rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.environments.models import ConnectionSet, Stream
from portal.maps.models import MapState, TableMap
from portal.maps.services import create_map
from portal.sync.control import PortalControl
from syncengine.ports import LoopFound
from tests.engine.pair import CUSTOMERS_MAP

pytestmark = pytest.mark.django_db


def test_running_maps_are_paused_and_both_rules_named(link: ConnectionSet) -> None:
    made = [
        create_map(link, replace(CUSTOMERS_MAP, name=name)) for name in ("one", "two")
    ]
    TableMap.objects.filter(pk=made[0].pk).update(state=MapState.RUNNING)
    stream = Stream.objects.get(connection_set=link, source="finops")
    loop = LoopFound(
        map_ids=tuple(one.pk for one in made),
        rules=("map one, a = b", "map two, a = b"),
        key=("usmf", "C1"),
        column="b",
        message="Two maps write different values: map one, a = b; map two, a = b.",
    )
    for _ in range(2):
        PortalControl(link, stream).loop_found(loop)
    states = TableMap.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == [MapState.PAUSED, MapState.NOT_RUNNING]
    alerts = Alert.objects.filter(kind="loop", closed_at=None)
    assert alerts.count() == 2
    assert all(rule in alerts[0].message for rule in loop.rules)
    assert alerts[0].details["rules"] == list(loop.rules)
    assert ActivityEvent.objects.filter(kind="map.loop").exists()
