"""One worker at a time for each job of the wizard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(lock_class: int, job_id: int) -> Iterator[bool]:
    """Hold a session lock on the job; False when another worker has it. When a worker
    is killed, the lock goes with its connection."""
    key = [lock_class, job_id]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        row = cursor.fetchone()
        mine = row is not None and bool(row[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
