"""The engine's Journal on the portal's database. Plain SQL where a batch is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import Conflict
from portal.maps.models import Leg, TableMap
from portal.sync.failed_records import FailedRecords, key_text
from portal.sync.models import QueuedChange
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction
from syncengine.ports import (
    ConflictRecord,
    LegConfiguration,
    LegMode,
    QueuedEntry,
    RecordFailure,
    RetryRequest,
    StreamReport,
)

_WRITTEN = """
UPDATE maps_tablemap m SET
    rows_synced = m.rows_synced + n.rows,
    last_change_at = greatest(m.last_change_at, n.moment)
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS n(id, rows, moment)
WHERE m.id = n.id
"""


class PortalJournal:
    """The Journal of one connection set and, where it serves a stream, its source."""

    def __init__(self, connection_set: ConnectionSet, stream: Stream | None) -> None:
        self._set = connection_set
        self._stream = stream
        self._failed = FailedRecords(connection_set.pk)

    # -- errors ---------------------------------------------------------------------

    def record_failures(self, failures: Sequence[RecordFailure]) -> None:
        """Open, or count up, one error per map, direction and key."""
        self._failed.record(failures)

    def open_codes(self) -> Mapping[tuple[int, Direction], frozenset[str]]:
        """Codes of the open errors of each leg."""
        return self._failed.codes()

    def open_among(
        self, map_id: int, direction: Direction, keys: Collection[Row]
    ) -> set[Row]:
        """Those of `keys` that have an open error."""
        return self._failed.among(map_id, direction, keys)

    def wake(self, map_id: int, direction: Direction, awaited: Collection[str]) -> None:
        """Make errors that wait for one of these records due now."""
        self._failed.wake(map_id, direction, awaited)

    def close_failures(
        self, map_id: int, direction: Direction, keys: Sequence[Row], state: str
    ) -> None:
        """Close open errors of these keys."""
        self._failed.close(map_id, direction, keys, state)

    def retries(self, limit: int) -> Sequence[RetryRequest]:
        """Errors of this stream whose retry is asked for or due."""
        return self._failed.due(self._direction, limit)

    @property
    def _direction(self) -> Direction:
        if self._stream is None:
            raise ValueError("this journal serves no stream")
        return Direction(_direction_of(self._stream.source))

    # -- queue ----------------------------------------------------------------------

    def enqueue(self, entries: Sequence[QueuedEntry]) -> None:
        """Keep entries of legs that still queue, once each."""
        wanted = {(entry.map_id, entry.direction.value) for entry in entries}
        with transaction.atomic():
            legs = {
                (leg.table_map_id, leg.direction, leg.scope): leg
                for leg in Leg.objects.select_for_update()
                .filter(_any_leg(wanted))
                .exclude(mode=LegMode.OFF.value)
                .order_by("pk")
            }
            fresh = [
                entry
                for entry in entries
                if (leg := legs.get(_leg_of(entry))) is not None
                and entry.position > leg.queued_through
            ]
            QueuedChange.objects.bulk_create(
                [_queued_row(entry) for entry in fresh],
                batch_size=1000,
                ignore_conflicts=True,
            )
            for key, leg in legs.items():
                newest = max(
                    (entry.position for entry in fresh if _leg_of(entry) == key),
                    default="",
                )
                if newest > leg.queued_through:
                    Leg.objects.filter(pk=leg.pk).update(queued_through=newest)

    def queued(self, leg: LegConfiguration, limit: int) -> Sequence[QueuedEntry]:
        """The oldest entries in commit order, or whole chains of some keys."""
        rows = QueuedChange.objects.filter(
            table_map_id=leg.map_id, direction=leg.direction.value, scope=leg.scope
        )
        if leg.fold:
            keys = list(
                rows.order_by("key_text")
                .values_list("key_text", flat=True)
                .distinct()[:limit]
            )
            rows = rows.filter(key_text__in=keys)
            ordered = rows.order_by("key_text", "position", "ordinal")
            return [_entry(row) for row in ordered]
        portion = list(rows.order_by("position", "ordinal")[: limit + 1])
        if len(portion) <= limit:
            return [_entry(row) for row in portion]
        last = portion[-1].position
        whole = [row for row in portion if row.position != last]
        if not whole:
            whole = list(rows.filter(position=last).order_by("ordinal"))
        return [_entry(row) for row in whole]

    def dequeue(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        """Forget entries that were applied or recorded as failures."""
        QueuedChange.objects.filter(pk__in=entry_ids)._raw_delete("default")

    # -- the rest -------------------------------------------------------------------

    def record_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Write to the conflict log."""
        Conflict.objects.bulk_create(
            Conflict(
                table_map_id=conflict.map_id,
                direction=conflict.direction.value,
                key_text=key_text(conflict.key),
                column=conflict.column,
                policy=conflict.policy,
                winner=conflict.winner,
                base=conflict.base,
                source_value=conflict.source_value,
                target_value=conflict.target_value,
            )
            for conflict in conflicts
        )

    def report(self, report: StreamReport) -> None:
        """Take the stream's pulse, and count what was written."""
        if self._stream is None:
            raise ValueError("this journal serves no stream")
        values: dict[str, Any] = {
            "state": report.state,
            "message": report.message,
            "position": report.position or F("position"),
            "lag_seconds": report.lag_seconds,
            "lag_bytes": report.lag_bytes,
            "heartbeat_at": timezone.now(),
        }
        if report.canary is not None:
            values["canary_problem"] = report.canary.problem
            if report.canary.passed_at is not None:
                values["canary_at"] = report.canary.passed_at
                values["canary_seconds"] = report.canary.seconds
        if report.last_change:
            values["last_change_at"] = max(report.last_change.values())
        Stream.objects.filter(pk=self._stream.pk).update(**values)
        if report.written:
            ids = list(report.written)
            with connection.cursor() as cursor:
                cursor.execute(
                    _WRITTEN,
                    [
                        ids,
                        [sum(report.written[i].values()) for i in ids],
                        [report.last_change.get(i) for i in ids],
                    ],
                )

    def event(self, kind: str, message: str, **details: Any) -> None:
        """Write to the activity log, in the name of the system."""
        activity.record(kind, message, connection_set=self._set, details=details)

    def alert(
        self,
        kind: str,
        message: str,
        *,
        map_id: int | None = None,
        severity: str = "warning",
        **details: Any,
    ) -> None:
        """Tell people, once while it lasts."""
        alerts.raise_alert(
            kind,
            message,
            connection_set=self._set,
            table_map=self._map(map_id),
            severity=severity,
            about=self._about(),
            **details,
        )

    def clear_alert(self, kind: str, *, map_id: int | None = None) -> None:
        """The cause of an alert is over."""
        alerts.clear_alert(
            kind,
            connection_set=self._set,
            table_map=self._map(map_id),
            about=self._about(),
        )

    def _about(self) -> str:
        """Both streams of a set may have the same trouble at once."""
        return "" if self._stream is None else f"from {self._stream.source}"

    def _map(self, map_id: int | None) -> TableMap | None:
        return None if map_id is None else TableMap.objects.get(pk=map_id)


def _direction_of(source: str) -> str:
    return next(d.value for d in Direction if d.source.value == source)


def _leg_of(entry: QueuedEntry) -> tuple[int, str, int]:
    return entry.map_id, entry.direction.value, entry.scope


def _any_leg(wanted: set[tuple[int, str]]) -> Q:
    condition = Q(pk__in=[])
    for direction, group in groupby(sorted(wanted, key=_second), key=_second):
        ids = [map_id for map_id, _ in group]
        condition |= Q(table_map_id__in=ids, direction=direction)
    return condition


def _second(pair: tuple[int, str]) -> str:
    return pair[1]


def _queued_row(entry: QueuedEntry) -> QueuedChange:
    values = (*(entry.new or ()), *(entry.old or ()))
    return QueuedChange(
        table_map_id=entry.map_id,
        direction=entry.direction.value,
        position=entry.position,
        ordinal=entry.ordinal,
        transaction_id=entry.transaction_id,
        committed_at=entry.committed_at,
        kind=entry.kind,
        key=list(entry.key),
        key_text=key_text(entry.key),
        columns=list(entry.columns),
        new=None if entry.new is None else list(entry.new),
        old=None if entry.old is None else list(entry.old),
        size=sum(len(value) for value in values if value is not None),
        scope=entry.scope,
    )


def _entry(row: QueuedChange) -> QueuedEntry:
    return QueuedEntry(
        map_id=row.table_map_id,
        direction=Direction(row.direction),
        position=row.position,
        ordinal=row.ordinal,
        transaction_id=row.transaction_id,
        committed_at=row.committed_at,
        kind=row.kind,
        key=tuple(row.key),
        columns=tuple(row.columns),
        new=None if row.new is None else tuple(row.new),
        old=None if row.old is None else tuple(row.old),
        entry_id=row.pk,
    )
