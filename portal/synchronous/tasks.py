"""Where the guard runs: in every worker's main process, and in beat."""

from __future__ import annotations

from typing import Any

from celery.signals import beat_init, worker_ready

from portal.synchronous import guard


@worker_ready.connect
def _guard_worker(**_: Any) -> None:
    guard.start()


@beat_init.connect
def _guard_beat(**_: Any) -> None:
    guard.start()
