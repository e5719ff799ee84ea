"""Exactly one worker runs each stream: a session lock in the portal's database.

The lock is held on a connection of its own. When the worker dies, so does the
connection, and another worker gets the stream within seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

LOCK_CLASS = 0x6477
"""First half of our advisory lock keys ("dw"); the second is the stream's id."""

CHECK_SECONDS = 1.0

_HOST_LOST = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 4000,
}
_CLIENT_LOST = (
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 "
    "-c tcp_user_timeout=4000"
)
"""A killed worker's connection ends at once. One whose host is gone says nothing: both
ends of the lease ask each other, so that the server frees the lock, and the worker
knows that it lost it, after about four seconds."""

_HELD = """
SELECT objid FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Lease:
    """A held stream; `alive` is false once the lock may have been lost."""

    def __init__(self, holder: psycopg.Connection[tuple[object, ...]]) -> None:
        self._holder = holder
        self._checked_at = time.monotonic()
        self._alive = True

    def alive(self) -> bool:
        """Ask the server, at most once a second."""
        now = time.monotonic()
        if self._alive and now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            try:
                self._holder.execute("SELECT 1")
            except psycopg.Error:
                self._alive = False
        return self._alive


@contextmanager
def lease(stream_id: int) -> Iterator[Lease | None]:
    """Hold the stream while the block runs; None when another worker has it."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "pool"):
        parameters.pop(name, None)
    options = f"{parameters.pop('options', None) or ''} {_CLIENT_LOST}".strip()
    given = {**parameters, **_HOST_LOST, "options": options}
    with psycopg.connect(**given, autocommit=True) as holder:
        row = holder.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, stream_id]
        ).fetchone()
        yield Lease(holder) if row is not None and row[0] else None


def held_streams() -> set[int]:
    """Ids of streams some worker holds now."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [LOCK_CLASS])
        return {int(row[0]) for row in cursor.fetchall()}
