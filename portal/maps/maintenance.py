"""Pausing a whole connection set for maintenance, and letting the same maps go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.environments.models import ConnectionSet
from portal.maps import services
from portal.maps.models import MapState, TableMap
from portal.refusals import ActionForbidden

if TYPE_CHECKING:
    from portal.accounts.models import User


@transaction.atomic
def pause_set(
    connection_set: ConnectionSet, *, user: User | None = None
) -> services.ActionResult:
    """Pause every running map of the set and remember which they were.

    Both systems may be away then; saves on either go on, and their changes are queued.
    Refused when the set is paused already, and while a map copies.
    """
    connection_set = _lock(connection_set)
    if connection_set.paused_at is not None:
        raise ActionForbidden(
            f"{connection_set.name} is paused for maintenance already."
        )
    maps = list(connection_set.maps.order_by("pk"))
    copying = [one.name for one in maps if one.state == MapState.INITIALIZING]
    if copying:
        raise ActionForbidden(
            f"{', '.join(copying)} of {connection_set.name} is being copied: wait for "
            "the initial sync, or cancel it, before pausing the whole set."
        )
    running = [
        one for one in maps if one.state in (MapState.RUNNING, MapState.RESUMING)
    ]
    if not running:
        raise ActionForbidden(f"No map of {connection_set.name} is running.")
    result = services.pause(running, user=user)
    TableMap.objects.filter(pk__in=[one.pk for one in running]).update(
        paused_with_set=True
    )
    ConnectionSet.objects.filter(pk=connection_set.pk).update(paused_at=timezone.now())
    activity.record(
        "connection_set.paused",
        f"{connection_set.name} was paused for maintenance: {_names(running)}.",
        user=user,
        connection_set=connection_set,
        correlation_id=result.correlation_id,
    )
    return result


@transaction.atomic
def resume_set(
    connection_set: ConnectionSet, *, user: User | None = None
) -> services.ActionResult:
    """Let exactly those maps go on that `pause_set` paused and that are paused still.
    Refused when the set is not paused."""
    connection_set = _lock(connection_set)
    if connection_set.paused_at is None:
        raise ActionForbidden(f"{connection_set.name} is not paused for maintenance.")
    waiting = list(
        connection_set.maps.filter(
            paused_with_set=True, state=MapState.PAUSED
        ).order_by("pk")
    )
    result = services.resume(waiting, user=user)
    connection_set.maps.filter(paused_with_set=True).update(paused_with_set=False)
    ConnectionSet.objects.filter(pk=connection_set.pk).update(paused_at=None)
    activity.record(
        "connection_set.resumed",
        f"{connection_set.name} goes on after maintenance: {_names(waiting)}.",
        user=user,
        connection_set=connection_set,
        correlation_id=result.correlation_id,
    )
    return result


def _names(maps: list[TableMap]) -> str:
    return ", ".join(one.name for one in maps) or "no map was left to resume"


def _lock(connection_set: ConnectionSet) -> ConnectionSet:
    """First the maps, as everyone who changes their states does, then the set."""
    list(connection_set.maps.select_for_update(no_key=True).order_by("pk"))
    return ConnectionSet.objects.select_for_update().get(pk=connection_set.pk)
