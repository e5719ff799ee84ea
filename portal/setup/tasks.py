"""The tick that works off the jobs which make links."""

from __future__ import annotations

from celery import shared_task

from portal.setup import creating


@shared_task(name="portal.setup.tasks.create_links")
def create_links() -> None:
    """Go on with every link that is being made and nobody works at."""
    creating.work_off()
