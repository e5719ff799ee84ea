"""Celery task that carries out decisions about many conflicts."""

from __future__ import annotations

from celery import shared_task

from portal.conflicts import services

PORTIONS = 20


@shared_task(name="portal.conflicts.tasks.carry_out")
def carry_out() -> None:
    """Carry out what was asked for; the next task goes on where there is more."""
    for _ in range(PORTIONS):
        if not services.carry_out_asked():
            return
    carry_out.delay()
