"""The tick that takes a sample."""

from __future__ import annotations

from celery import shared_task

from portal.trends import sampling


@shared_task(name="portal.trends.tasks.sample")
def sample() -> None:
    """Take a sample; harmless twice."""
    if sampling.take():
        sampling.forget()
