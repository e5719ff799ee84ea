"""Celery tasks of comparisons."""

from __future__ import annotations

import structlog
from celery import shared_task

from portal import stopping
from portal.comparisons import after_gaps, schedules, working
from portal.comparisons.watching import Cancelled
from portal.refusals import Refusal
from syncengine.errors import EngineError

log = structlog.get_logger(__name__)

EXPIRES_SECONDS = 10
"""A task no worker took by then is dropped: the next tick sends another."""


@shared_task(name="portal.comparisons.tasks.advance_comparisons")
def advance_comparisons() -> None:
    """Start what is due, and call workers for comparisons that wait."""
    for comparison_id in schedules.tick():
        run_comparison.apply_async((comparison_id,), expires=EXPIRES_SECONDS)


@shared_task(name="portal.comparisons.tasks.run_comparison")
def run_comparison(comparison_id: int) -> None:
    """Do one comparison, unless somebody has it."""
    comparison = working.claim(comparison_id)
    if comparison is None:
        return
    try:
        working.work(comparison, stop=stopping.asked)
    except (Cancelled, EngineError, Refusal) as reason:
        if stopping.asked():
            working.hand_back(comparison)
        log.info(
            "comparison.not_done",
            comparison=comparison_id,
            reason=getattr(reason, "code", "cancelled"),
        )


@shared_task(name="portal.comparisons.tasks.forget_comparisons")
def forget_comparisons() -> None:
    """Delete comparisons beyond the time they are kept."""
    schedules.forget_old()


@shared_task(name="portal.comparisons.tasks.compare_after_gaps")
def compare_after_gaps() -> None:
    """Ask for comparisons of maps that must be compared."""
    after_gaps.ask_where_needed()
