"""Legs of companies that join a map while it runs: opened, closed, taken away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from django.db import transaction

from portal.maps import preparation
from portal.maps import services as maps
from portal.maps.models import Leg
from portal.runs.models import ACTIVE_RUN_STATES, InitialSyncRun
from portal.sync.models import QueuedChange
from syncengine.mapping.model import Direction
from syncengine.ports import LegMode


def open_scope(run: InitialSyncRun) -> None:
    """From now on the streams queue the changes of the companies that join."""
    with transaction.atomic():
        _create_legs(run, LegMode.QUEUE)
        # A former try for the same companies gives way.
        former = run.table_map.legs.filter(scope__gt=0).exclude(scope=run.pk)
        for leg in former:
            if set(leg.companies) <= set(run.legal_entities):
                take_away(run.table_map_id, leg.scope)
        maps.bump_revision([run.table_map.connection_set_id])


def _create_legs(run: InitialSyncRun, mode: LegMode) -> None:
    definition = preparation.definition(run.table_map)
    for direction in Direction:
        if definition.flows(direction):
            Leg.objects.get_or_create(
                table_map_id=run.table_map_id,
                direction=direction.value,
                scope=run.pk,
                defaults={"mode": mode.value, "companies": run.legal_entities},
            )


def companies_elsewhere(connection_set_id: int) -> Mapping[int, set[str]]:
    """By map, the companies that its ordinary legs leave to others, or to no one."""
    found: dict[int, set[str]] = defaultdict(set)
    scoped = Leg.objects.filter(
        table_map__connection_set=connection_set_id, scope__gt=0
    ).values_list("table_map", "companies")
    waiting = (
        InitialSyncRun.objects.filter(
            table_map__connection_set=connection_set_id, state__in=ACTIVE_RUN_STATES
        )
        .exclude(legal_entities=[])
        .values_list("table_map", "legal_entities")
    )
    for map_id, codes in [*scoped, *waiting]:
        found[map_id].update(codes)
    return found


def all_live(run: InitialSyncRun) -> bool:
    """True when the companies of the run are carried over at once."""
    return not (
        Leg.objects.filter(scope=run.pk).exclude(mode=LegMode.LIVE.value).exists()
    )


def close_scope(run: InitialSyncRun) -> None:
    """The companies of a run that broke off take no part in the map until a run
    copies them, or they are skipped. Their queued changes are forgotten: the next
    copy reads the rows as they are then."""
    _create_legs(run, LegMode.OFF)
    Leg.objects.filter(table_map=run.table_map_id, scope=run.pk).update(
        mode=LegMode.OFF.value, queued_through="", drain_after="", fold=False
    )
    QueuedChange.objects.filter(table_map=run.table_map_id, scope=run.pk).delete()


def take_away(map_id: int, scope: int) -> None:
    """The map's ordinary legs carry these companies from the next revision on."""
    Leg.objects.filter(table_map=map_id, scope=scope).delete()
    QueuedChange.objects.filter(table_map=map_id, scope=scope).delete()
