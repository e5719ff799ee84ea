"""The engine's Journal on the portal's database. Plain SQL where a batch is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.conflicts import keeping
from portal.environments.models import ConnectionSet, Stream
from portal.history import keeping as keeping_history
from portal.history.recording import Recorder
from portal.maps.models import TableMap
from portal.sync import queueing, set_aside, traffic
from portal.sync.failed_records import FailedRecords, key_text
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction, Side
from syncengine.ports import (
    Carried,
    ConflictRecord,
    LegConfiguration,
    QueuedEntry,
    RecordFailure,
    RetryRequest,
    StreamReport,
    Undecided,
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
        self._recorder = Recorder(
            keeping_history.session, settings.HISTORY_CHANGES_PER_SECOND
        )

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
        self,
        map_id: int,
        direction: Direction,
        keys: Sequence[Row],
        state: str,
        *,
        through: Sequence[str] = (),
    ) -> None:
        """Close open errors of these keys, up to the change that was written."""
        self._failed.close(map_id, direction, keys, state, through)

    def retries(self, limit: int) -> Sequence[RetryRequest]:
        """Errors of this stream whose retry is asked for or due."""
        return self._failed.due(self._direction, limit)

    def retry_unless_closed(
        self, map_id: int, direction: Direction, keys: Sequence[Row]
    ) -> None:
        """Make errors that are about to be closed due later, in case they are not."""
        self._failed.retry_unless_closed(map_id, direction, keys)

    def put_off(self, error_ids: Sequence[int]) -> None:
        """Let these errors wait on, longer than before."""
        self._failed.put_off(error_ids)

    def rename_failures(self, keys: Mapping[int, Row]) -> None:
        """Give these errors the keys their records have now."""
        self._failed.rename(keys)

    @property
    def _direction(self) -> Direction:
        if self._stream is None:
            raise ValueError("this journal serves no stream")
        return Direction(_direction_of(self._stream.source))

    # -- queue ----------------------------------------------------------------------

    def enqueue(self, entries: Sequence[QueuedEntry]) -> None:
        """Keep entries of legs that still queue, once each."""
        queueing.enqueue(entries)

    def queued(self, leg: LegConfiguration, limit: int) -> Sequence[QueuedEntry]:
        """The oldest entries in commit order, or whole chains of some keys."""
        return queueing.queued(leg, limit)

    def queued_kinds(self, leg: LegConfiguration) -> Mapping[str, int]:
        """How many changes of each kind wait that nobody has approved."""
        return queueing.queued_kinds(leg)

    def queued_together(
        self, legs: Sequence[LegConfiguration], limit: int
    ) -> Sequence[QueuedEntry]:
        """The oldest entries of several legs in commit order."""
        return queueing.queued_together(legs, limit)

    def dequeue(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        """Forget entries that were applied or recorded as failures."""
        queueing.dequeue(entry_ids)

    def set_aside_keys(self, leg: LegConfiguration) -> set[Row]:
        """Keys of the leg that have changes set aside."""
        return set_aside.keys(leg)

    def set_aside(
        self, leg: LegConfiguration, keys: Sequence[Row] | None, limit: int
    ) -> Sequence[QueuedEntry]:
        """Changes set aside of these keys, or of the first `limit` keys."""
        texts = None if keys is None else [key_text(key) for key in keys]
        rows = set_aside.changes(leg, texts, limit)
        return [queueing.entry_of(row) for row in rows]

    def forget_set_aside(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        """Forget changes that were carried over or recorded as failures."""
        set_aside.forget(entry_ids)

    def remember_tables(self, side: Side, tables: Mapping[str, Any]) -> None:
        """Keep the description of tables of a side."""
        set_aside.remember_tables(self._set, side.value, tables)

    def remembered_tables(self, side: Side) -> Mapping[str, Any]:
        """What was kept of a side."""
        return set_aside.remembered_tables(self._set, side.value)

    # -- the rest -------------------------------------------------------------------

    def record_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Write to the conflict log."""
        keeping.record(self._set, conflicts)
        traffic.add_conflicts(conflicts)

    def keep_doubts(self, records: Sequence[tuple[int, Row]]) -> None:
        """Keep what is still to be looked at, in the stream's row."""
        if self._stream is not None:
            kept = [[map_id, list(key)] for map_id, key in records]
            Stream.objects.filter(pk=self._stream.pk).update(doubtful=kept)

    def doubts(self) -> Sequence[tuple[int, Row]]:
        """What is still to be looked at."""
        if self._stream is None:
            return []
        kept = Stream.objects.values_list("doubtful", flat=True).get(pk=self._stream.pk)
        return [(map_id, tuple(key)) for map_id, key in kept or ()]

    def undecided(self, map_id: int) -> Sequence[Undecided]:
        """The conflicts of a map that wait for a person."""
        return keeping.undecided(map_id)

    def close_undecided(
        self, map_id: int, finops_key: Row, columns: Sequence[str] | None
    ) -> None:
        """Users made both sides agree again."""
        keeping.close(self._set, map_id, finops_key, columns)

    def keeps_history(self) -> bool:
        """False while more comes than is kept."""
        return self._recorder.keeps()

    def carried(self, carried: Carried) -> None:
        """Keep what was written, in a thread of its own."""
        self._recorder.take(carried)

    def close(self) -> None:
        """Write what of the history still waits."""
        self._recorder.close()

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
            "retained_bytes": report.retained_bytes,
            "heartbeat_at": timezone.now(),
        }
        if report.state == "running":
            values["running_at"] = values["heartbeat_at"]
        if report.canary is not None:
            values["canary_problem"] = report.canary.problem
            if report.canary.passed_at is not None:
                values["canary_at"] = report.canary.passed_at
                values["canary_seconds"] = report.canary.seconds
        if report.last_change:
            values["last_change_at"] = max(report.last_change.values())
        Stream.objects.filter(pk=self._stream.pk).update(**values)
        traffic.add(self._stream.pk, self._direction.value, report)
        if report.written:
            ids = sorted(report.written)
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
