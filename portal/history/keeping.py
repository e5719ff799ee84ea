"""How long the history is kept, for which maps, and the session it is written with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from psycopg import sql

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.models import ConnectionSet
from portal.history.models import HistoryGap
from portal.maps.models import TableMap

if TYPE_CHECKING:
    from portal.accounts.models import User

_DAYS = """
SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD'),
    pg_total_relation_size(c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'history_carriedchange'::regclass
ORDER BY 1
"""

Day = tuple[str, date, int]


def session() -> psycopg.Connection[Any]:
    """A session with the portal's database of the caller's own."""
    opened = connection.copy()
    opened.ensure_connection()
    found: psycopg.Connection[Any] = opened.connection
    return found


def days() -> list[Day]:
    """The days that are kept, oldest first: partition, day, bytes."""
    with connection.cursor() as cursor:
        cursor.execute(_DAYS)
        return cursor.fetchall()


def kept_since() -> date | None:
    """The first day of which anything is kept."""
    return next((day for _, day, _ in days()), None)


def purge(now: datetime | None = None) -> int:
    """Forget days that are older than the policy says, and the oldest ones while all
    together take more room than they may; gives their number. Today stays."""
    today = (now or datetime.now(UTC)).date()
    with connection.cursor() as cursor:
        cursor.execute("SELECT history_ensure_day(%s)", [today])
    kept = days()
    room = settings.HISTORY_KEPT_MEGABYTES * 1024**2
    limit = today - timedelta(days=settings.HISTORY_KEPT_DAYS)
    total = sum(size for _, _, size in kept)
    gone: list[date] = []
    for name, day, size in kept:
        old = settings.HISTORY_KEPT_DAYS and day < limit
        large = settings.HISTORY_KEPT_MEGABYTES and total > room
        if day >= today or not (old or large):
            break
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("DROP TABLE {}").format(sql.Identifier(name)),
            )
        total -= size
        gone.append(day)
    if gone:
        first = gone[-1] + timedelta(days=1)
        HistoryGap.objects.filter(
            ended_at__lt=datetime(first.year, first.month, first.day, tzinfo=UTC)
        ).delete()
        activity.record(
            "history.purge",
            f"The history of {len(gone)} day{'' if len(gone) == 1 else 's'} up to "
            f"{gone[-1]} was purged, as the policy says.",
            details={"days": len(gone), "until": str(gone[-1])},
        )
    return len(gone)


@transaction.atomic
def switch(maps: Iterable[TableMap], *, on: bool, user: User | None = None) -> int:
    """Keep a history of these maps from now on, or none; gives the number of those
    that were otherwise."""
    changed = [one for one in maps if one.history != on]
    for table_map in changed:
        table_map.history = on
        table_map.save(update_fields=["history"])
        activity.record(
            "map.history",
            f"{table_map.name}: history is {'kept' if on else 'not kept'} from now on.",
            user=user,
            table_map=table_map,
            details={
                "history": on,
                "changes": changes({"history_kept": not on}, {"history_kept": on}),
            },
        )
    ConnectionSet.objects.filter(
        pk__in={one.connection_set_id for one in changed}
    ).update(revision=F("revision") + 1)
    return len(changed)
