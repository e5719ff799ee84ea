"""The error list as the engine writes it: set-based, a batch of records a statement."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, ErrorState, SyncError
from portal.errors.waking import let_go
from portal.maps.models import Leg
from syncengine.awaiting import FREED
from syncengine.mapping.causes import (
    FIRST_WAITS,
    HELD,
    cause_signature,
    cause_text,
    waits_of,
)
from syncengine.mapping.compiled import Row
from syncengine.mapping.dangling import shown_key as key_text
from syncengine.mapping.model import Direction
from syncengine.ports import LegMode, RecordFailure, RetryRequest

DEADLOCKS = 5
"""How often a statement is tried that met others on the counts of causes."""

Given = TypeVar("Given")

_OPEN = """
WITH n AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(
        table_map_id bigint, direction text, phase text, key jsonb, key_text text,
        code text, "column" text, message text, remote text, operation text,
        "group" text, position text, source_row jsonb, mapped_row jsonb, awaits text,
        cause_text text, signature text, polled boolean)
), causes AS (
    INSERT INTO errors_errorgroup AS g (
        table_map_id, direction, code, "column", text, signature, first_seen, last_seen)
    SELECT DISTINCT ON (table_map_id, direction, signature)
        table_map_id, direction, code, "column", cause_text, signature,
        %(now)s::timestamptz, %(now)s::timestamptz
    FROM n ORDER BY table_map_id, direction, signature
    ON CONFLICT (table_map_id, direction, signature) DO UPDATE
    SET last_seen = excluded.last_seen
    RETURNING g.id, g.table_map_id, g.direction, g.signature
)
INSERT INTO errors_syncerror AS e (
    table_map_id, direction, phase, key, key_text, code, "column", message, remote,
    operation, "group", position, source_row, mapped_row, awaits, cause_id, state,
    count, first_seen, last_seen, not_before, attempts)
SELECT n.table_map_id, n.direction, n.phase, n.key, n.key_text, n.code, n."column",
    n.message, n.remote, n.operation, n."group", n.position, n.source_row,
    n.mapped_row, n.awaits, c.id, 'open', 1, %(now)s::timestamptz,
    %(now)s::timestamptz,
    CASE WHEN n.polled THEN
        %(now)s::timestamptz + make_interval(secs => (%(waits)s::int[])[1]) END, 0
FROM n JOIN causes c USING (table_map_id, direction, signature)
ORDER BY n.table_map_id, n.direction, n.key_text
ON CONFLICT (table_map_id, direction, key_text)
WHERE state IN ('open', 'retrying') DO UPDATE SET
    phase = CASE WHEN excluded.phase = 'retry' THEN e.phase ELSE excluded.phase END,
    "group" = CASE WHEN excluded.phase = 'retry' THEN e."group"
                   ELSE excluded."group" END,
    position = CASE WHEN excluded.phase = 'retry' THEN e.position
                    ELSE excluded.position END,
    code = excluded.code, "column" = excluded."column", message = excluded.message,
    remote = excluded.remote, operation = excluded.operation,
    source_row = excluded.source_row, mapped_row = excluded.mapped_row,
    awaits = excluded.awaits, cause_id = excluded.cause_id,
    -- A retry that was asked for meanwhile is still owed.
    state = CASE WHEN excluded.phase = 'retry' THEN 'open' ELSE e.state END,
    last_seen = excluded.last_seen,
    count = e.count + CASE WHEN e.position = excluded.position
                            AND excluded.position <> '' THEN 0 ELSE 1 END,
    attempts = e.attempts + CASE WHEN excluded.phase = 'retry' THEN 1 ELSE 0 END,
    not_before = CASE
        WHEN e.state = 'retrying' AND excluded.phase <> 'retry' THEN e.not_before
        WHEN excluded.not_before IS NOT NULL THEN
        excluded.last_seen + make_interval(secs => (%(waits)s::int[])[least(
            e.attempts + CASE WHEN excluded.phase = 'retry' THEN 2 ELSE 1 END,
            cardinality(%(waits)s::int[]))]) END
"""

CLOSED_WITHIN_SECONDS = 60
FREED_AT_ONCE = 2_000

_UNLESS_CLOSED = """
UPDATE errors_syncerror e
SET not_before = %(now)s::timestamptz + make_interval(secs => %(seconds)s)
WHERE e.table_map_id = %(map)s AND e.direction = %(direction)s
  AND e.key_text = ANY(%(keys)s) AND e.state = 'open'
  AND (e.not_before IS NULL
       OR e.not_before > %(now)s::timestamptz + make_interval(secs => %(seconds)s))
"""

_PUT_OFF = """
UPDATE errors_syncerror e
SET state = 'open', attempts = e.attempts + 1, not_before = %(now)s::timestamptz
    + make_interval(secs => (%(waits)s::int[])[
        least(e.attempts + 2, cardinality(%(waits)s::int[]))])
WHERE e.id = ANY(%(ids)s) AND e.state IN ('open', 'retrying')
"""

_RENAME = """
WITH n AS (
    SELECT DISTINCT ON (e.table_map_id, e.direction, n.key_text) n.*
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(id bigint, key jsonb, key_text text)
    JOIN errors_syncerror e ON e.id = n.id
    ORDER BY e.table_map_id, e.direction, n.key_text, n.id
)
UPDATE errors_syncerror e SET key = n.key, key_text = n.key_text
FROM n WHERE e.id = n.id AND e.state IN ('open', 'retrying') AND NOT EXISTS (
    SELECT FROM errors_syncerror o WHERE o.table_map_id = e.table_map_id
    AND o.direction = e.direction AND o.key_text = n.key_text
    AND o.state IN ('open', 'retrying'))
"""

_SUPERSEDE = """
WITH closed AS (
    UPDATE errors_syncerror e
    SET state = 'superseded', not_before = NULL, closed_at = %(now)s
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(id bigint, key_text text)
    WHERE e.id = n.id AND e.key_text <> n.key_text AND e.state IN ('open', 'retrying')
    RETURNING e."group", e.code
)
SELECT DISTINCT "group" FROM closed WHERE "group" <> '' AND code <> %(held)s
"""

_CLOSE = """
WITH closed AS (
    UPDATE errors_syncerror e
    SET state = %(state)s, not_before = NULL, closed_at = %(now)s
    FROM unnest(%(keys)s::text[], %(through)s::text[]) k(key_text, through)
    WHERE e.table_map_id = %(map)s AND e.direction = %(direction)s
      AND e.key_text = k.key_text AND e.state IN ('open', 'retrying')
      AND (k.through = '' OR e.position COLLATE "C" <= k.through)
    RETURNING e."group", e.code
)
SELECT DISTINCT "group" FROM closed WHERE "group" <> '' AND code <> %(held)s
"""


class FailedRecords:
    """The open errors of one connection set."""

    def __init__(self, connection_set_id: int) -> None:
        self._set_id = connection_set_id

    def record(self, failures: Sequence[RecordFailure]) -> None:
        """Open, or count up, one error per map, direction and key, and its cause."""
        if not failures:
            return
        latest = {(f.map_id, f.direction.value, key_text(f.key)): f for f in failures}
        values = {
            "rows": json.dumps([_row(failure) for failure in latest.values()]),
            "now": timezone.now(),
            "waits": list(FIRST_WAITS),
        }

        def write() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_OPEN, values)

        _through_deadlocks(write)

    def codes(self) -> Mapping[tuple[int, Direction], frozenset[str]]:
        """Codes of open errors by leg, from the counts of their causes."""
        found: dict[tuple[int, Direction], set[str]] = defaultdict(set)
        open_causes = ErrorGroup.objects.filter(
            table_map__connection_set=self._set_id, waiting_count__gt=0
        ).order_by()
        for map_id, direction, code in open_causes.values_list(
            "table_map_id", "direction", "code"
        ):
            found[map_id, Direction(direction)].add(code)
        return {leg: frozenset(codes) for leg, codes in found.items()}

    def among(
        self, map_id: int, direction: Direction, keys: Collection[Row]
    ) -> set[Row]:
        """Those of `keys` that have an open error."""
        texts = {key: key_text(key) for key in keys}
        found = set(
            SyncError.objects.filter(
                table_map_id=map_id,
                direction=direction.value,
                key_text__in=list(set(texts.values())),
                state__in=OPEN_ERROR_STATES,
            ).values_list("key_text", flat=True)
        )
        return {key for key, text in texts.items() if text in found}

    def wake(self, map_id: int, direction: Direction, awaited: Collection[str]) -> None:
        """Make errors that wait for one of these records due now; of those that wait
        to be freed, of which it is not known, `FREED_AT_ONCE`."""
        waiting = SyncError.objects.filter(
            table_map_id=map_id, direction=direction.value, state=ErrorState.OPEN
        )
        known = [token for token in awaited if token not in ("", FREED)]
        if known:
            waiting.filter(awaits__in=known).update(not_before=timezone.now())
        if FREED in awaited:
            freed = waiting.filter(awaits=FREED).order_by("last_seen").values("pk")
            SyncError.objects.filter(pk__in=freed[:FREED_AT_ONCE]).update(
                not_before=timezone.now()
            )

    def close(
        self,
        map_id: int,
        direction: Direction,
        keys: Sequence[Row],
        state: str,
        through: Sequence[str] = (),
    ) -> None:
        """Close open errors of these keys, unless they are about a change later than
        `through`; records held back with them may go on."""
        latest = dict(
            zip(map(key_text, keys), through or [""] * len(keys), strict=True)
        )
        values = {
            "state": ErrorState(state).value,
            "now": timezone.now(),
            "keys": sorted(latest),
            "through": [latest[key] for key in sorted(latest)],
            "map": map_id,
            "direction": direction.value,
            "held": HELD,
        }

        def write() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                # What a crash forgets of it is tried again, and closed then.
                cursor.execute("SET LOCAL synchronous_commit TO off")
                cursor.execute(_CLOSE, values)
                groups = [row[0] for row in cursor.fetchall()]
                if groups:
                    let_go([self._set_id], groups)

        _through_deadlocks(write)

    def retry_unless_closed(
        self, map_id: int, direction: Direction, keys: Sequence[Row]
    ) -> None:
        """Make errors that are about to be closed due in a while, in case they are
        not."""
        values = {
            "now": timezone.now(),
            "seconds": CLOSED_WITHIN_SECONDS,
            "map": map_id,
            "direction": direction.value,
            "keys": [key_text(key) for key in keys],
        }

        def write() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_UNLESS_CLOSED, values)

        _through_deadlocks(write)

    def put_off(self, error_ids: Sequence[int]) -> None:
        """Let these wait on, longer than before."""
        values = {"ids": list(error_ids), "now": timezone.now()}

        def write() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_PUT_OFF, {**values, "waits": list(FIRST_WAITS)})

        _through_deadlocks(write)

    def rename(self, keys: Mapping[int, Row]) -> None:
        """Give open errors the keys their records have now; where another error is
        open under that key, it stands for both."""
        rows = [
            {"id": error_id, "key": list(key), "key_text": key_text(key)}
            for error_id, key in keys.items()
        ]
        values = {"rows": json.dumps(rows), "now": timezone.now(), "held": HELD}

        def write() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_RENAME, values)
                cursor.execute(_SUPERSEDE, values)
                groups = [row[0] for row in cursor.fetchall()]
                if groups:
                    let_go([self._set_id], groups)

        _through_deadlocks(write)

    def due(
        self, direction: Direction, limit: int, now: datetime | None = None
    ) -> list[RetryRequest]:
        """Errors of one direction whose retry is asked for or due, and whose leg is
        live."""
        live = Leg.objects.filter(
            table_map__connection_set=self._set_id,
            direction=direction.value,
            mode=LegMode.LIVE.value,
            scope=0,
        )
        due = (
            SyncError.objects.filter(
                table_map__in=list(live.values_list("table_map_id", flat=True)),
                direction=direction.value,
                state__in=OPEN_ERROR_STATES,
                not_before__lte=now or timezone.now(),
            )
            .order_by("not_before")
            .values_list("id", "table_map_id", "key", "operation")[:limit]
        )
        return [
            RetryRequest(error_id, map_id, direction, tuple(key), operation)
            for error_id, map_id, key, operation in due
        ]


def _through_deadlocks(write: Callable[[], Given]) -> Given:
    """Two writers may meet on the counts of two causes in opposite orders."""
    for _ in range(DEADLOCKS - 1):
        try:
            return write()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
            if connection.in_atomic_block:
                raise
    return write()


def _row(failure: RecordFailure) -> dict[str, Any]:
    text = cause_text(failure.code, failure.message, failure.key)
    return {
        "table_map_id": failure.map_id,
        "direction": failure.direction.value,
        "phase": failure.phase,
        "key": list(failure.key),
        "key_text": key_text(failure.key),
        "code": failure.code,
        "column": failure.column,
        "message": failure.message,
        "remote": failure.remote,
        "operation": failure.operation,
        "group": failure.group,
        "position": failure.position,
        "source_row": dict(failure.source_row),
        "mapped_row": dict(failure.mapped_row),
        "awaits": failure.awaits,
        "cause_text": text,
        "signature": cause_signature(failure.code, failure.column, text),
        "polled": failure.polled or bool(waits_of(failure.code)),
    }
