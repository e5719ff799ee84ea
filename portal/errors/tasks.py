"""The nightly purge."""

from __future__ import annotations

import structlog
from celery import shared_task

from portal import retention
from portal.accounts.sessions import forget_ended
from portal.history import keeping

log = structlog.get_logger(__name__)


@shared_task(name="portal.errors.tasks.purge")
def purge() -> None:
    """Purge what is older than its policy says; harmless twice."""
    purged = retention.purge()
    days = keeping.purge()
    forget_ended()
    log.info(
        "retention.purged",
        errors=purged.errors,
        conflicts=purged.conflicts,
        events=purged.events,
        history_days=days,
    )
