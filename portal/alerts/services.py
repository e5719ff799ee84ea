"""Raising, clearing and acknowledging alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.models import Alert, Severity
from portal.refusals import NotFound, Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User
    from portal.environments.models import ConnectionSet
    from portal.maps.models import TableMap

log = structlog.get_logger(__name__)

MOST_SNOOZE_MINUTES = 30 * 24 * 60

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
        ELSE a.acknowledged_at END,
    snoozed_until = CASE
        WHEN excluded.severity = 'error' AND a.severity <> 'error' THEN NULL
        ELSE a.snoozed_until END,
    told_at = CASE
        WHEN excluded.severity = 'error' AND a.severity <> 'error' THEN NULL
        ELSE a.told_at END
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
    it was opened now, which also goes to the activity log; people are told of it soon
    after (`portal.alerts.telling`).

    `about` tells apart what is neither set nor map, such as the source of a stream.
    An acknowledged or snoozed alert stays so unless it becomes an error; then people
    are told again.
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
    return bool(opened)


@transaction.atomic
def announce(
    kind: str,
    message: str,
    *,
    table_map: TableMap,
    severity: str = "info",
    **details: Any,
) -> None:
    """Tell of something that happened and asks for nothing: an alert that is over as
    soon as it is there."""
    now = timezone.now()
    Alert.objects.create(
        kind=kind,
        subject=subject_of(table_map.connection_set_id, table_map.pk),
        severity=Severity(severity).value,
        connection_set=table_map.connection_set,
        table_map=table_map,
        message=message,
        details=_plain(details),
        opened_at=now,
        last_seen=now,
        closed_at=now,
        over_told_at=now,
    )


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
    return _mark(
        ids,
        user,
        Marking("acknowledged", "Seen", Q(acknowledged_at=None)),
        acknowledged_at=timezone.now(),
        acknowledged_by=user,
        snoozed_until=None,
    )


@transaction.atomic
def close(ids: Iterable[int], *, user: User | None = None) -> int:
    """Close open alerts by hand; a cause that still holds opens another. Raises
    NotFound for an unknown id."""
    return _mark(
        ids, user, Marking("closed", "Closed by hand", Q()), closed_at=timezone.now()
    )


@transaction.atomic
def snooze(ids: Iterable[int], minutes: int, *, user: User | None = None) -> int:
    """Put open alerts aside for a while: they leave the dashboard, and whoever was
    told of them is reminded afterwards, if they still hold. Gives their number.
    Raises NotFound for an unknown id."""
    if not 0 < minutes <= MOST_SNOOZE_MINUTES:
        raise Refusal("Snooze for a minute to 30 days.", code="bad_snooze")
    until = timezone.now() + timedelta(minutes=minutes)
    word = f"Snoozed until {until:%Y-%m-%d %H:%M} UTC"
    return _mark(ids, user, Marking("snoozed", word, Q()), snoozed_until=until)


@dataclass(frozen=True)
class Marking:
    """What is done to open alerts: the kind and first words of its event, and which
    of them it is done to."""

    kind: str
    word: str
    which: Q


def _mark(
    ids: Iterable[int], user: User | None, marking: Marking, **values: Any
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
    rows = Alert.objects.filter(marking.which, pk__in=wanted, closed_at=None)
    marked = set(rows.values_list("pk", flat=True))
    Alert.objects.filter(pk__in=marked).update(**values)
    for alert in found:
        if alert.pk not in marked:
            continue
        activity.record(
            f"alert.{marking.kind}",
            f"{marking.word}: {alert.message}",
            user=user,
            connection_set=alert.connection_set,
            table_map=alert.table_map,
            details={"kind": alert.kind, "alert": alert.pk},
        )
    return len(marked)
