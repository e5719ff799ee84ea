"""Celery tasks of initial syncs: the tick that moves runs on, and the copying."""

from __future__ import annotations

from celery import shared_task

from portal.runs import chunks, progress

EXPIRES_SECONDS = 10
"""A task no worker took by then is dropped: the next tick sends another."""


@shared_task(name="portal.runs.tasks.advance_runs")
def advance_runs() -> None:
    """Move every active run on, and call workers for chunks that wait."""
    for run_id, workers in progress.advance_runs().items():
        for _ in range(workers):
            copy_chunks.apply_async((run_id,), expires=EXPIRES_SECONDS)


@shared_task(name="portal.runs.tasks.copy_chunks")
def copy_chunks(run_id: int) -> None:
    """Copy chunks of a run for a while, then let another task go on."""
    if chunks.copy_chunks(run_id):
        copy_chunks.apply_async((run_id,), expires=EXPIRES_SECONDS)
    else:
        advance_runs.apply_async(expires=EXPIRES_SECONDS)
