"""Writes what streams carried, in a thread of its own, and never more than it may.

A stream hands over what a commit brought and goes on at once. The thread puts it into
words and writes it in batches. What comes faster than the rate, or cannot be written,
is counted as a gap and left out: the history never holds up a stream, nor fills its
memory.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from portal.history.keys import hashed
from syncengine.mapping.dangling import shown_key
from syncengine.mapping.model import Direction
from syncengine.ports import Carried, CarriedChange

log = logging.getLogger(__name__)

BATCH = 2_000
SECONDS = 0.5
"""So long records are gathered before they are written."""

BURST = 10
"""So many seconds' worth of records may come at once."""

CALM_SECONDS = 1.0
"""Once more came than is kept, so long no more may come than the rate."""

COLUMNS = (
    *("at", "map_id", "direction", "kind", "phase", "version", "position"),
    *("transaction_id", "committed_at", "source_key", "target_key", "key_hash"),
    *("other_hash", "before", "after", "changes"),
)
_COPY = f"COPY history_carriedchange ({', '.join(COLUMNS)}) FROM STDIN"
_GAP = """
WITH longer AS (
    UPDATE history_historygap SET ended_at = %(ended)s, records = records + %(records)s
    WHERE id = (SELECT max(id) FROM history_historygap
                WHERE map_id = %(map)s AND direction = %(direction)s
                  AND ended_at > %(began)s - interval '1 minute')
    RETURNING id)
INSERT INTO history_historygap (began_at, ended_at, map_id, direction, records)
SELECT %(began)s, %(ended)s, %(map)s, %(direction)s, %(records)s
WHERE NOT EXISTS (SELECT FROM longer)
"""

Leg = tuple[int, Direction]
Connect = Callable[[], "psycopg.Connection[Any]"]


class Recorder:
    """The history of one stream. `rate` is how many records a second are kept;
    `connect` opens the session that the thread writes with, in autocommit.

    What comes faster is counted alone until it comes slower again: some records of many
    would tell nobody anything, and cost a busy stream its time."""

    def __init__(
        self,
        connect: Connect,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._rate = rate
        self._clock = clock
        self._may = rate * BURST
        self._counted_at = clock()
        self._flooded = False
        self._since = float("-inf")
        self._arrived = 0
        self._waiting: queue.SimpleQueue[Carried | None] = queue.SimpleQueue()
        self._gaps = _Gaps()
        self._thread: threading.Thread | None = None

    def take(self, carried: Carried) -> None:
        """Keep what a commit brought, or count it as left out; returns at once."""
        counts = carried.counts()
        number = sum(counts.values())
        if not (self._allows(number) and carried.described):
            self._gaps.add(counts)
            # Somebody must write the gap down, too.
            self._start()
            return
        self._waiting.put(carried)
        self._start()

    def keeps(self) -> bool:
        """False while more comes than is kept."""
        if self._flooded:
            self._look(self._clock())
        return not self._flooded

    def _look(self, now: float) -> None:
        """Whether the flood is over."""
        passed = now - self._since
        if passed < CALM_SECONDS:
            return
        self._flooded = self._arrived > self._rate * passed
        self._arrived, self._since = 0, now
        self._may, self._counted_at = self._rate, now

    def _allows(self, number: int) -> bool:
        now = self._clock()
        if self._flooded:
            self._arrived += number
            self._look(now)
            if self._flooded:
                return False
        more = (now - self._counted_at) * self._rate
        self._may = min(self._rate * BURST, self._may + more)
        self._counted_at = now
        if number <= self._may:
            self._may -= number
            return True
        # One large commit is none; two within a moment are.
        self._flooded = now - self._since < CALM_SECONDS
        self._arrived, self._since = 0, now
        return False

    def close(self) -> None:
        """Write what is still waiting."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(10)
            self._thread = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="history", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        writer = _Writer(self._connect)
        try:
            going = True
            while going:
                gathered, going = self._gather()
                self._write(writer, gathered)
        finally:
            writer.close()

    def _gather(self) -> tuple[list[Carried], bool]:
        """What came within a short while; false when nothing more will."""
        gathered: list[Carried] = []
        number, until = 0, time.monotonic() + SECONDS
        while number < BATCH:
            try:
                one = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if one is None:
                return gathered, False
            gathered.append(one)
            number += sum(one.counts().values())
        return gathered, True

    def _write(self, writer: _Writer, gathered: Sequence[Carried]) -> None:
        gaps = self._gaps.take()
        if not gathered and not gaps:
            return
        try:
            writer.write(gathered, gaps)
        except Exception as error:
            # Whatever it is: the history may lack records, a stream may not stop.
            log.warning("history.not_written: %s", type(error).__name__)
            writer.close()
            for gap in gaps:
                self._gaps.put_back(gap)
            for one in gathered:
                self._gaps.add(one.counts())
            time.sleep(SECONDS)


Gap = tuple[Leg, datetime, datetime, int]


class _Gaps:
    """What was left out since it was last written down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Leg, tuple[datetime, datetime, int]] = {}

    def add(self, counts: Mapping[Leg, int]) -> None:
        now = datetime.now(UTC)
        with self._lock:
            for leg, number in counts.items():
                began, _, before = self._open.get(leg, (now, now, 0))
                self._open[leg] = began, now, before + number

    def take(self) -> list[Gap]:
        if not self._open:
            return []
        with self._lock:
            found = [(leg, *values) for leg, values in self._open.items()]
            self._open.clear()
        return found

    def put_back(self, gap: Gap) -> None:
        leg, began, ended, number = gap
        with self._lock:
            first, last, more = self._open.get(leg, (began, ended, 0))
            self._open[leg] = min(first, began), max(last, ended), more + number


class _Writer:
    """The session that writes."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._session: psycopg.Connection[Any] | None = None
        self._day: date | None = None

    def write(self, gathered: Sequence[Carried], gaps: Sequence[Gap]) -> None:
        """One transaction for all."""
        if self._session is None:
            self._session = self._connect()
            self._session.execute("SET synchronous_commit = off")
        now = datetime.now(UTC)
        if self._day != now.date():
            self._session.execute("SELECT history_ensure_day(%s::date)", [now.date()])
            self._day = now.date()
        with self._session.transaction(), self._session.cursor() as cursor:
            if gathered:
                with cursor.copy(_COPY) as copy:
                    for row in _rows(gathered, now):
                        copy.write_row(row)
            for (map_id, direction), began, ended, number in gaps:
                cursor.execute(
                    _GAP,
                    {
                        "began": began,
                        "ended": ended,
                        "map": map_id,
                        "direction": direction.value,
                        "records": number,
                    },
                )

    def close(self) -> None:
        """End the session; the next write opens another."""
        if self._session is not None:
            with suppress(Exception):
                self._session.close()
        self._session, self._day = None, None


def _rows(gathered: Sequence[Carried], now: datetime) -> Iterator[tuple[Any, ...]]:
    for carried in gathered:
        for change in carried.describe():
            yield _row(change, now)


def _row(change: CarriedChange, now: datetime) -> tuple[Any, ...]:
    source, target = shown_key(change.source_key), shown_key(change.target_key)
    first = hashed(source, company=change.company)
    other = hashed(target, company=change.company)
    return (
        now,
        change.map_id,
        change.direction.value,
        change.kind,
        change.phase,
        change.version,
        change.position,
        change.transaction_id,
        change.committed_at,
        source,
        target,
        first,
        other if other != first else None,
        _json(change.before),
        _json(change.after),
        change.changes,
    )


def _json(values: Mapping[str, str | None]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
