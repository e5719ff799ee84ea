"""The job that gives records of the CRM a company: any worker does it, in steps.

A worker that works holds a session lock on the job: when it is killed or asked to
stop, the next tick has another go on. A step is one statement, and gives nothing to a
record that has a company by then, so that it may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.maps.preparation import naming
from portal.refusals import Refusal
from portal.setup import checking, drafts, stamping
from portal.setup.alone import alone
from portal.setup.models import ACTIVE_STAMPINGS, DraftState, Stamping, StampingState
from syncengine.errors import EngineError

log = structlog.get_logger(__name__)

LOCK_CLASS = 0x647A
ROWS_A_STEP = 20_000
"""Few enough that a cancelled job ends soon, and that nobody waits long for a row."""


def work_off(stop: Callable[[], bool] = lambda: False) -> None:
    """Do the jobs nobody works at; return soon once `stop` says so."""
    waiting = Stamping.objects.filter(state__in=ACTIVE_STAMPINGS)
    for job_id in list(waiting.values_list("pk", flat=True)):
        if not stop():
            work(job_id, stop)


def work(
    job_id: int,
    stop: Callable[[], bool] = lambda: False,
    told: Callable[[int], None] = lambda rows: None,
) -> None:
    """Do one job to its end, unless another worker is at it or `stop` says to leave it
    to the next. `told` hears of the rows done. Must not run inside a transaction."""
    with alone(LOCK_CLASS, job_id) as mine:
        known = Stamping.objects.select_related("draft", "environment", "created_by")
        job = known.filter(pk=job_id, state__in=ACTIVE_STAMPINGS).first()
        if not mine or job is None:
            return
        try:
            _carry_out(job, stop, told)
        except (Refusal, EngineError) as error:
            _end(job, StampingState.FAILED, error.message, error.code)
        except Exception as error:
            log.error("setup.stamping_failed", job=job_id, exc_info=error)
            _end(
                job,
                StampingState.FAILED,
                "It could not be done; the reason is in the portal's log.",
                "unexpected",
            )


def _carry_out(
    job: Stamping, stop: Callable[[], bool], told: Callable[[int], None]
) -> None:
    same = Stamping.objects.filter(pk=job.pk)
    same.update(
        state=StampingState.WORKING, started_at=job.started_at or timezone.now()
    )
    with naming(job.environment.name):
        environment, found = stamping.find(job.draft, job.table)
        if environment != job.environment:
            raise Refusal(f"{job.draft.name} has another environment now.")
        connector = connector_for(job.environment)
        done = ROWS_A_STEP
        while done == ROWS_A_STEP:
            if stop() or not same.exists():
                return
            if same.filter(cancel_requested=True).exists():
                _end(job, StampingState.CANCELLED, "It was cancelled.")
                return
            done = connector.fill_company(
                found.request, found.rule, job.company, ROWS_A_STEP
            )
            same.update(rows=F("rows") + done)
            job.refresh_from_db(fields=["rows"])
            told(job.rows)
        with connector.reader() as reader:
            left = reader.count(found.request, checking.COUNTED)
    _end(
        job,
        StampingState.DONE,
        f"{left:,} more were held by others meanwhile: do it again." if left else "",
    )


@transaction.atomic
def _end(job: Stamping, state: StampingState, message: str, code: str = "") -> None:
    same = Stamping.objects.filter(pk=job.pk, state__in=ACTIVE_STAMPINGS)
    if not same.update(
        state=state, message=message, code=code, finished_at=timezone.now()
    ):
        return
    job.refresh_from_db()
    if job.rows and job.draft.state == DraftState.EDITING:
        drafts.recheck(job.draft)
    ends = {
        StampingState.FAILED: f" Then it failed: {message}",
        StampingState.CANCELLED: " Then it was cancelled.",
    }
    noun = "record" if job.rows == 1 else "records"
    activity.record(
        "setup.stamped",
        f"{job.rows:,} {noun} of {job.table} in {job.environment.name} that had no "
        f"company got {job.company}.{ends.get(state, '')}",
        user=job.created_by,
        details={"table": job.table, "company": job.company, "rows": job.rows},
    )
