"""Waiting until the streams have passed the present moment."""

from __future__ import annotations

import time
from collections.abc import Mapping

from django.utils import timezone

from portal.environments.models import Stream
from portal.maps.models import Leg, TableMap
from portal.maps.queries import STALE_AFTER
from syncengine.connectors.base import Connector
from syncengine.mapping.model import Direction, Side
from syncengine.ports import LegMode

LONGEST_SECONDS = 15.0
"""A stream that needs longer is late: its map is judged as it is now."""

MOVING = (LegMode.LIVE.value, LegMode.DRAIN.value)


class CatchUp:
    """Called before differences are looked at once more. Streams that did not catch
    up in time are not waited for again."""

    def __init__(
        self, table_map: TableMap, connectors: Mapping[Side, Connector]
    ) -> None:
        self._set_id = table_map.connection_set_id
        self._sources = [
            Direction(direction).source
            for direction in Leg.objects.filter(
                table_map=table_map, mode__in=MOVING
            ).values_list("direction", flat=True)
        ]
        self._connectors = connectors

    @property
    def needed(self) -> bool:
        """False where no change can be on its way."""
        return bool(self._sources)

    def __call__(self) -> None:
        wanted: dict[Side, str] = {}
        for side in self._sources:
            with self._connectors[side].reader() as reader:
                wanted[side] = reader.position()
        deadline = time.monotonic() + LONGEST_SECONDS
        while wanted:
            reached = self._positions()
            # A stream that nobody runs is not waited for.
            wanted = {
                side: position
                for side, position in wanted.items()
                if reached.get(side.value, position) < position
            }
            if wanted and time.monotonic() > deadline:
                self._sources = [one for one in self._sources if one not in wanted]
                return
            if wanted:
                time.sleep(0.1)  # the streams report twice a second

    def _positions(self) -> dict[str, str]:
        """How far each stream that has been heard of lately has come."""
        streams = Stream.objects.filter(
            connection_set_id=self._set_id,
            heartbeat_at__gt=timezone.now() - STALE_AFTER,
        )
        return dict(streams.values_list("source", "position"))
