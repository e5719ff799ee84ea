"""Celery tasks of initial syncs: the tick that moves runs on, and the copying."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from portal.runs import chunks, progress, services

EXPIRES_SECONDS = 10
"""A task no worker took by then is dropped: the next tick sends another."""


@shared_task(name="portal.runs.tasks.advance_runs")
def advance_runs() -> None:
    """Move every active run on, and call as many workers as may copy at once."""
    for _ in range(sum(progress.advance_runs().values())):
        copy_chunks.apply_async(expires=EXPIRES_SECONDS)


@shared_task(name="portal.runs.tasks.purge_runs")
def purge_runs() -> None:
    """Forget runs that ended long ago, a portion at a time."""
    while services.purge(timezone.now()) == services.PURGED_AT_ONCE:
        continue


@shared_task(name="portal.runs.tasks.copy_chunks")
def copy_chunks() -> None:
    """Copy what waits, of any run, for a while; then let another task go on."""
    if chunks.copy_chunks():
        copy_chunks.apply_async(expires=EXPIRES_SECONDS)
    else:
        advance_runs.apply_async(expires=EXPIRES_SECONDS)
