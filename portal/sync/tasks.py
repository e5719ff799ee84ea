"""Celery tasks of the live streams."""

from __future__ import annotations

from celery import shared_task

from portal import stopping
from portal.operations.services import ticked
from portal.sync import canaries, limits, released, streams

EXPIRES_SECONDS = 6
"""A task no worker took by then is dropped: the next tick sends another."""


@shared_task(name="portal.sync.tasks.ensure_streams")
def ensure_streams() -> None:
    """Call a worker for every stream that should run and that nobody runs."""
    ticked()
    for stream_id in streams.wanted_streams():
        run_stream.apply_async((stream_id,), expires=EXPIRES_SECONDS)


@shared_task(name="portal.sync.tasks.watch_canaries")
def watch_canaries() -> None:
    """Tell people of streams through which nothing comes."""
    canaries.watch()


@shared_task(name="portal.sync.tasks.run_stream")
def run_stream(stream_id: int) -> None:
    """Run one stream for as long as this worker lives."""
    streams.run_stream(stream_id, stopping.asked)


@shared_task(name="portal.sync.tasks.check_queues")
def check_queues() -> None:
    """Warn of queues that near or pass their limits."""
    limits.check()


@shared_task(name="portal.sync.tasks.watch_logs")
def watch_logs() -> None:
    """Look after the log that sources keep for streams nobody runs."""
    released.watch_logs()
