"""Signs of life of the portal's processes."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from portal.alerts.services import clear_alert, raise_alert
from portal.operations.models import Kind, Process
from portal.release import VERSION

SILENT_AFTER = timedelta(seconds=20)
TICKS_MISSED_AFTER = timedelta(seconds=30)
FORGET_AFTER = timedelta(days=1)

BEAT_SILENT = "beat_silent"

_SEEN = """
INSERT INTO operations_process (kind, name, host, number, version, queues, slots,
    started_at, seen_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, now(), now())
ON CONFLICT (name) DO UPDATE SET seen_at = now(), version = excluded.version
"""


@dataclass(frozen=True)
class Self:
    """This process, as it signs."""

    kind: Kind
    queues: str = ""
    slots: int = 0

    @property
    def host(self) -> str:
        """The machine's name."""
        return socket.gethostname()

    @property
    def name(self) -> str:
        """A name no other living process has."""
        return f"{self.kind.value} {self.host} {os.getpid()}"


def seen(me: Self) -> None:
    """Say that this process lives."""
    values = [
        me.kind.value,
        me.name,
        me.host,
        os.getpid(),
        VERSION,
        me.queues,
        me.slots,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, values)


def ticked() -> None:
    """Say that beat sent a task and that a worker took it."""
    values = [Kind.TICKS.value, "ticks", "", 0, VERSION, "", 0]
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, values)


def gone(me: Self) -> None:
    """This process ends."""
    Process.objects.filter(name=me.name).delete()


def look_after() -> None:
    """What each worker does now and then: forget processes that were killed long ago,
    and raise the alert for a beat nobody hears of, which could not raise it itself."""
    now = timezone.now()
    Process.objects.filter(seen_at__lt=now - FORGET_AFTER).exclude(
        kind=Kind.TICKS
    ).delete()
    ticks = Process.objects.filter(kind=Kind.TICKS).first()
    if ticks is None:
        return
    silence = now - ticks.seen_at
    if silence > TICKS_MISSED_AFTER:
        raise_alert(
            BEAT_SILENT,
            f"Beat has not been heard of for {silence.total_seconds():.0f} seconds. "
            "What runs goes on, but nothing is started: no stream that stopped, no "
            "copy, no schedule, no alert rule. Start the beat process.",
            severity="error",
        )
    else:
        clear_alert(BEAT_SILENT)
