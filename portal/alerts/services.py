"""Raising, clearing and acknowledging alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import notifying
from portal.alerts.models import Alert, Severity
from portal.refusals import NotFound

if TYPE_CHECKING:
    from portal.accounts.models import User
    from portal.environments.models import ConnectionSet
    from portal.maps.models import TableMap

log = structlog.get_logger(__name__)

SCHEMA_CHANGED = "schema_changed"
"""The kind of alert about a map that waits because its tables do not fit it."""

_RAISE = """
INSERT INTO alerts_alert AS a (
    kind, subject, severity, connection_set_id, table_map_id, message, details,
    opened_at, last_seen, count)
VALUES (%(kind)s, %(subject)s, %(severity)s, %(set)s, %(map)s, %(message)s,
    %(details)s, %(now)s, %(now)s, 1)
ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET
    severity = excluded.severity, message = excluded.message,
    details = excluded.details, last_seen = excluded.last_seen, count = a.count + 1,
    acknowledged_at = CASE
        WHEN excluded.severity = 'error' AND a.severity <> 'error' THEN NULL
        ELSE a.acknowledged_at END
RETURNING id, xmax = 0
"""


def subject_of(
    connection_set_id: int | None = None, map_id: int | None = None, about: str = ""
) -> str:
    """What an alert is about, in one text."""
    parts = []
    if connection_set_id is not None:
        parts.append(f"set {connection_set_id}")
    if map_id is not None:
        parts.append(f"map {map_id}")
    if about:
        parts.append(about)
    return ", ".join(parts) or "portal"


@transaction.atomic
def raise_alert(
    kind: str,
    message: str,
    *,
    connection_set: ConnectionSet | None = None,
    table_map: TableMap | None = None,
    severity: str = "warning",
    about: str = "",
    **details: Any,
) -> bool:
    """Open an alert, or count up the open one of the same kind and subject; true when
    it was opened now, which also goes to the activity log and to notifications.

    `about` tells apart what is neither set nor map, such as the source of a stream.
    An acknowledged alert stays so unless it becomes an error.
    """
    if connection_set is None and table_map is not None:
        connection_set = table_map.connection_set
    set_id = connection_set.pk if connection_set is not None else None
    map_id = table_map.pk if table_map is not None else None
    with connection.cursor() as cursor:
        cursor.execute(
            _RAISE,
            {
                "kind": kind,
                "subject": subject_of(set_id, map_id, about),
                "severity": Severity(severity).value,
                "set": set_id,
                "map": map_id,
                "message": message,
                "details": json.dumps(details, default=str),
                "now": timezone.now(),
            },
        )
        alert_id, opened = cursor.fetchone()
    if opened:
        activity.record(
            "alert.opened",
            message,
            connection_set=connection_set,
            table_map=table_map,
            details={"kind": kind, "severity": severity, **_plain(details)},
        )
        log.warning("alert.opened", kind=kind, severity=severity, alert=alert_id)
        transaction.on_commit(lambda: notifying.opened(alert_id))
    return bool(opened)


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(details, default=str))
    return found


@transaction.atomic
def clear_alert(
    kind: str,
    *,
    connection_set: ConnectionSet | None = None,
    table_map: TableMap | None = None,
    about: str | None = None,
) -> int:
    """Close the open alerts of this kind and subject, whatever they are `about`
    unless that is given; gives their number. None open: nothing happens."""
    alerts = Alert.objects.filter(kind=kind, closed_at=None)
    if connection_set is None and table_map is not None:
        connection_set = table_map.connection_set
    if about is not None:
        set_id = connection_set.pk if connection_set is not None else None
        map_id = table_map.pk if table_map is not None else None
        alerts = alerts.filter(subject=subject_of(set_id, map_id, about))
    else:
        alerts = alerts.filter(connection_set=connection_set, table_map=table_map)
    return _clear(alerts)


@transaction.atomic
def clear_alerts(ids: Iterable[int]) -> int:
    """Close these alerts because their cause is over; gives their number."""
    return _clear(Alert.objects.filter(pk__in=list(ids), closed_at=None))


def _clear(alerts: QuerySet[Alert]) -> int:
    closed = list(
        alerts.select_for_update(of=("self",)).select_related(
            "connection_set", "table_map"
        )
    )
    if not closed:
        return 0
    Alert.objects.filter(pk__in=[alert.pk for alert in closed]).update(
        closed_at=timezone.now()
    )
    for alert in closed:
        activity.record(
            "alert.cleared",
            f"Over: {alert.message}",
            connection_set=alert.connection_set,
            table_map=alert.table_map,
            details={"kind": alert.kind, "alert": alert.pk},
        )
    return len(closed)


@transaction.atomic
def acknowledge(ids: Iterable[int], *, user: User | None = None) -> int:
    """Mark open alerts as seen: they leave the dashboard and stay in the list until
    their cause is over; gives their number. Raises NotFound for an unknown id."""
    return _mark(ids, user, "alert.acknowledged", "Seen", close=False)


@transaction.atomic
def close(ids: Iterable[int], *, user: User | None = None) -> int:
    """Close open alerts by hand; a cause that still holds opens another. Raises
    NotFound for an unknown id."""
    return _mark(ids, user, "alert.closed", "Closed by hand", close=True)


def _mark(
    ids: Iterable[int], user: User | None, kind: str, word: str, *, close: bool
) -> int:
    wanted = set(ids)
    found = list(
        Alert.objects.select_for_update(of=("self",))
        .filter(pk__in=wanted)
        .select_related("connection_set", "table_map")
    )
    missing = wanted - {alert.pk for alert in found}
    if missing:
        names = ", ".join(str(pk) for pk in sorted(missing))
        raise NotFound(f"There is no alert with id {names}.")
    marked = [
        alert
        for alert in found
        if alert.closed_at is None and (close or alert.acknowledged_at is None)
    ]
    now = timezone.now()
    chosen = Alert.objects.filter(pk__in=[alert.pk for alert in marked])
    if close:
        chosen.update(closed_at=now)
    else:
        chosen.update(acknowledged_at=now, acknowledged_by=user)
    for alert in marked:
        activity.record(
            kind,
            f"{word}: {alert.message}",
            user=user,
            connection_set=alert.connection_set,
            table_map=alert.table_map,
            details={"kind": alert.kind, "alert": alert.pk},
        )
    return len(marked)
