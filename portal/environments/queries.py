"""Reads: sets and environments by name, streams that are alive or behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from portal.environments.models import (
    ConnectionSet,
    Environment,
    Stream,
    StreamState,
)
from portal.refusals import NotFound, Refusal

ALIVE_WITHIN = timedelta(seconds=5)


def unacknowledged(
    connection_set_ids: Sequence[int], now: datetime | None = None
) -> QuerySet[Stream]:
    """Streams that are alive and have not yet taken the newest revision over."""
    return Stream.objects.filter(
        connection_set__in=connection_set_ids,
        state__in=(StreamState.RUNNING, StreamState.RETRYING),
        heartbeat_at__gte=(now or timezone.now()) - ALIVE_WITHIN,
        acknowledged_revision__lt=F("connection_set__revision"),
    )


def heard_within(connection_set_ids: Sequence[int], seconds: float) -> bool:
    """Whether any stream of these sets has reported lately."""
    since = timezone.now() - timedelta(seconds=seconds)
    return Stream.objects.filter(
        connection_set__in=connection_set_ids, heartbeat_at__gte=since
    ).exists()


def find_connection_set(name: str) -> ConnectionSet:
    """The connection set of this name, with its environments."""
    sets = ConnectionSet.objects.select_related("finops", "dataverse")
    found = sets.filter(name=name).first()
    if found is None:
        raise NotFound(_nothing("connection set", name, sets))
    return found


def choose_connection_set(name: str | None) -> ConnectionSet:
    """The connection set of this name; without a name the only one there is."""
    if name:
        return find_connection_set(name)
    sets = ConnectionSet.objects.select_related("finops", "dataverse").order_by("name")
    if not sets:
        raise NotFound("There is no connection set yet: make one with 'dw apply'.")
    if len(sets) > 1:
        raise Refusal(
            "There are several connection sets, so say which: "
            f"{', '.join(each.name for each in sets)}.",
            code="ambiguous",
        )
    return sets[0]


def find_environment(name: str) -> Environment:
    """The environment of this name."""
    found = Environment.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_nothing("environment", name, Environment.objects.all()))
    return found


def without_secrets(sets: QuerySet[ConnectionSet]) -> QuerySet[ConnectionSet]:
    """The sets with their environments, whose connection strings are read only when
    they are used: one that cannot be read keeps nobody from the others."""
    return sets.select_related("finops", "dataverse").defer(
        "finops__dsn", "dataverse__dsn"
    )


def linked_set(environment: Environment) -> ConnectionSet | None:
    """The connection set the environment is part of."""
    return (
        without_secrets(ConnectionSet.objects.all())
        .filter(Q(finops=environment) | Q(dataverse=environment))
        .first()
    )


def _nothing(kind: str, name: str, rows: QuerySet[Any]) -> str:
    known = rows.order_by("name").values_list("name", flat=True)[:20]
    hint = f" They are: {', '.join(known)}." if known else " There are none yet."
    return f"There is no {kind} {name}.{hint}"
