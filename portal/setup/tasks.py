"""The tick that works off the jobs which make links, and the job before a link."""

from __future__ import annotations

from celery import shared_task

from portal import stopping
from portal.setup import creating, filling
from portal.setup.models import ACTIVE_STAMPINGS, Stamping

EXPIRES_SECONDS = 10
"""A task no worker took by then is dropped: the next tick sends another."""


@shared_task(name="portal.setup.tasks.create_links")
def create_links() -> None:
    """Go on with every link that is being made and nobody works at."""
    creating.work_off()
    if Stamping.objects.filter(state__in=ACTIVE_STAMPINGS).exists():
        give_companies.apply_async(expires=EXPIRES_SECONDS)


@shared_task(name="portal.setup.tasks.give_companies")
def give_companies() -> None:
    """Go on with every job that gives records a company and nobody works at."""
    filling.work_off(stopping.asked)
