"""What happens to a stream's maps while its target is away, and after a gap."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.environments.models import ConnectionSet, Stream
from portal.maps import reconciling
from portal.maps.models import Leg
from portal.sync.models import QueuedChange
from syncengine.mapping.model import Direction
from syncengine.ports import LegMode

ALERT_SPOOLING = "spooling"
ALERT_GAP = "log-gap"


@transaction.atomic
def spool(stream: Stream, direction: Direction, reason: str) -> None:
    """Live legs of the stream queue from now on, marked as spooled."""
    connection_set = stream.connection_set
    changed = Leg.objects.filter(
        table_map__connection_set=connection_set,
        direction=direction.value,
        mode=LegMode.LIVE.value,
    ).update(mode=LegMode.DRAIN.value, fold=False, drain_after="", spooled=True)
    if changed:
        _bump(connection_set.pk)
    target = connection_set.environment(direction.target).name
    message = (
        f"{target} does not answer. Changes of "
        f"{connection_set.environment(direction.source).name} are kept in the portal's "
        f"queue and carried over when it is back. {reason}"
    )
    opened = alerts.raise_alert(
        ALERT_SPOOLING,
        message,
        connection_set=connection_set,
        severity="error",
        about=about(stream),
    )
    if opened:
        activity.record("stream.spooling", message, connection_set=connection_set)


@transaction.atomic
def unspool(stream: Stream, direction: Direction, position: str) -> None:
    """The target is back and holds everything up to `position`: forget what was
    spooled up to there. Within a large transaction: up to before it."""
    legs = list(
        Leg.objects.select_for_update()
        .filter(
            table_map__connection_set=stream.connection_set_id,
            direction=direction.value,
            spooled=True,
        )
        .order_by("table_map_id", "pk")
    )
    if legs:
        whole = [leg.table_map_id for leg in legs if not leg.scope]
        joining = [leg.scope for leg in legs if leg.scope]
        QueuedChange.objects.filter(
            Q(table_map__in=whole, scope=0) | Q(scope__in=joining),
            direction=direction.value,
            position__lte=position.partition("#")[0],
        )._raw_delete("default")
        Leg.objects.filter(pk__in=[leg.pk for leg in legs]).update(spooled=False)
    alerts.clear_alert(
        ALERT_SPOOLING, connection_set=stream.connection_set, about=about(stream)
    )


@transaction.atomic
def gap(stream: Stream, direction: Direction, reason: str) -> None:
    """Changes of the source were lost to the stream: its maps must be compared."""
    connection_set = stream.connection_set
    maps = (
        Leg.objects.filter(
            table_map__connection_set=connection_set, direction=direction.value
        )
        .exclude(mode=LegMode.OFF.value)
        .values_list("table_map_id", flat=True)
    )
    number = reconciling.need_reconcile(list(maps), reason, side=direction.source.value)
    alerts.raise_alert(
        ALERT_GAP,
        f"{reason} Changes made meanwhile are not known: {number} "
        f"{'map' if number == 1 else 'maps'} must be compared.",
        connection_set=connection_set,
        severity="error",
        about=about(stream),
    )


def truncated(stream: Stream, direction: Direction, tables: Sequence[str]) -> None:
    """Tables were emptied with TRUNCATE: their maps must be compared."""
    connection_set = stream.connection_set
    wanted = {name.casefold() for name in tables}
    legs = (
        Leg.objects.filter(
            table_map__connection_set=connection_set,
            table_map__version__isnull=False,
            direction=direction.value,
        )
        .exclude(mode=LegMode.OFF.value)
        .values_list(
            "table_map_id", f"table_map__version__{direction.source.value}_table"
        )
    )
    ids = [map_id for map_id, table in legs if table.casefold() in wanted]
    names = ", ".join(tables)
    activity.record(
        "stream.truncated",
        f"{names} of {connection_set.environment(direction.source).name} was emptied "
        "with TRUNCATE, which tells of no rows. The other side keeps its rows.",
        connection_set=connection_set,
        details={"tables": list(tables)},
    )
    reconciling.need_reconcile(
        ids, f"{names} was emptied with TRUNCATE; the other side keeps its rows."
    )


def about(stream: Stream) -> str:
    """How alerts name the stream."""
    return f"from {stream.source}"


def _bump(connection_set_id: int) -> None:
    ConnectionSet.objects.filter(pk=connection_set_id).update(
        revision=F("revision") + 1
    )
