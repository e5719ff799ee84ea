"""Processes, queues of the broker, and whether the portal can do its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from redis import Redis, RedisError

from portal.operations.models import Kind, Process
from portal.operations.services import SILENT_AFTER, TICKS_MISSED_AFTER
from portal.release import VERSION


@dataclass(frozen=True)
class ProcessStatus:
    """A process, and whether it was heard of lately."""

    process: Process
    silent: bool
    outdated: bool


@dataclass(frozen=True)
class SystemStatus:
    """Everything about the portal's own processes. `problems` are sentences."""

    version: str
    processes: Sequence[ProcessStatus]
    ticked_at: datetime | None
    queues: dict[str, int] | None
    problems: Sequence[str]


def system() -> SystemStatus:
    """The present state, in two queries and one question to the broker."""
    now = timezone.now()
    rows = list(Process.objects.order_by("kind", "host", "number"))
    processes = [
        ProcessStatus(row, now - row.seen_at > SILENT_AFTER, row.version != VERSION)
        for row in rows
        if row.kind != Kind.TICKS
    ]
    ticks = next((row.seen_at for row in rows if row.kind == Kind.TICKS), None)
    queues = queue_lengths()
    return SystemStatus(
        version=VERSION,
        processes=processes,
        ticked_at=ticks,
        queues=queues,
        problems=_problems(processes, ticks, queues, now),
    )


def _problems(
    processes: Sequence[ProcessStatus],
    ticks: datetime | None,
    queues: dict[str, int] | None,
    now: datetime,
) -> list[str]:
    alive = {one.process.kind for one in processes if not one.silent}
    found = []
    if queues is None:
        found.append("The broker does not answer: nothing new is started.")
    if Kind.WORKER not in alive:
        found.append("No worker is running: nothing is synchronized.")
    if Kind.BEAT not in alive and (ticks is None or now - ticks > TICKS_MISSED_AFTER):
        found.append(
            "Beat is not running: what runs goes on, but nothing is started, and no "
            "alert rule is looked at."
        )
    elif ticks is not None and now - ticks > TICKS_MISSED_AFTER:
        found.append(
            "Beat's ticks do not get through: workers are busy, or serve other queues."
        )
    found += [
        f"{one.process.get_kind_display()} on {one.process.host} (process "
        f"{one.process.number}) has fallen silent; it was killed or hangs."
        for one in processes
        if one.silent
    ]
    if any(one.outdated and not one.silent for one in processes):
        found.append("Processes of different versions are running: restart the older.")
    return found


def queue_lengths() -> dict[str, int] | None:
    """Tasks that wait in each queue; None when the broker does not answer."""
    client = Redis.from_url(
        settings.CELERY_BROKER_URL, socket_timeout=2, socket_connect_timeout=2
    )
    try:
        return {
            queue.name: int(client.llen(queue.name))  # type: ignore[arg-type]
            for queue in settings.CELERY_TASK_QUEUES
        }
    except RedisError:
        return None
    finally:
        client.close()


def alive(kind: Kind, *, host: str = "", within_seconds: float = 20.0) -> bool:
    """Whether a process of this kind (on this host) was heard of lately. Raises
    DatabaseError."""
    rows = Process.objects.filter(kind=kind)
    if host:
        rows = rows.filter(host=host)
    now = timezone.now()
    return any((now - row.seen_at).total_seconds() <= within_seconds for row in rows)


def database_is_current() -> bool:
    """True when no migration waits."""
    try:
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        return not executor.migration_plan(targets)
    except DatabaseError:
        return False
