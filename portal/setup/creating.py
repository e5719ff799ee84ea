"""The job that makes a link: a few steps, worked off one by one by any worker.

The steps are rows. A worker that works holds a session lock on the draft: when it is
killed, the lock goes with its connection, and the next tick has another worker go on
with the step that was not done. So each step may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.environments import services as environments
from portal.environments.copies import refuse_copies
from portal.environments.models import ConnectionSet, StreamState
from portal.maps import ready_made
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import prepare_capture
from portal.maps.run_options import RunOptions
from portal.refusals import Refusal
from portal.sample.databases import SampleError
from portal.sample.maps import CONNECTION_SET
from portal.sample.services import ensure_sample
from portal.setup import drafts
from portal.setup.alone import alone
from portal.setup.checking import pairs_of
from portal.setup.models import DraftState, SetupDraft, SetupStep, StepState
from syncengine.errors import EngineError
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User

log = structlog.get_logger(__name__)

LOCK_CLASS = 0x6479
"""First half of an advisory lock's key; the second is the draft's id."""

Work = Callable[[SetupDraft], str]
"""Does a step and says what was done; raises Refusal, EngineError or SampleError. A
step that gives nothing is not done yet and is asked again at the next tick."""


@transaction.atomic
def agree(draft: SetupDraft, *, user: User | None = None) -> SetupDraft:
    """The administrator agrees to what the summary says: the job begins. Refused where
    something is missing, or changed since the health check."""
    stored = drafts.lock(draft)
    drafts.refuse_unfinished(stored)
    _start(stored, _titles(stored), user)
    activity.record(
        "setup.agreed",
        f"Creating the link {stored.name} between {stored.finops} and "
        f"{stored.dataverse} was agreed to.",
        user=user,
        details={"companies": stored.companies.filter(chosen=True).count()},
    )
    return stored


@transaction.atomic
def take_sample(*, user: User | None = None) -> SetupDraft:
    """Have the sample companies made, linked and run; the draft whose job does it."""
    present = SetupDraft.objects.filter(
        sample=True, state__in=(DraftState.CREATING, DraftState.FAILED)
    ).first()
    if present is not None:
        if present.state == DraftState.FAILED:
            again(present, user=user)
        return present
    draft = drafts.begin(name="sample", user=user)
    draft.sample = True
    _start(
        draft,
        {
            "sample": "Make two databases with 5,000 customers, link them, run five "
            "maps",
            "streams": "Wait until changes are carried over",
        },
        user,
    )
    activity.record("setup.sample", "The sample companies were asked for.", user=user)
    return draft


def _start(draft: SetupDraft, titles: Mapping[str, str], user: User | None) -> None:
    draft.steps.all().delete()
    SetupStep.objects.bulk_create(
        SetupStep(draft=draft, number=number, name=name, title=title)
        for number, (name, title) in enumerate(titles.items(), 1)
    )
    draft.state = DraftState.CREATING
    draft.consent_by, draft.consent_at = user, timezone.now()
    draft.save()
    transaction.on_commit(_call_worker)


def _call_worker() -> None:
    from portal.setup.tasks import create_links

    create_links.apply_async(expires=10)


def _titles(draft: SetupDraft) -> dict[str, str]:
    """The steps of a job by name."""
    count = draft.maps.count()
    titles = {"link": f"Link {draft.finops} and {draft.dataverse} as {draft.name}"}
    if count:
        noun = "map" if count == 1 else "maps"
        titles |= {
            "maps": f"Install {count} ready-made {noun}",
            "finops": f"Install change capture on {draft.finops}",
            "dataverse": f"Install change capture on {draft.dataverse}",
            "run": f"Run {count} {noun}",
            "streams": "Wait until changes are carried over",
        }
    return titles


@transaction.atomic
def again(draft: SetupDraft, *, user: User | None = None) -> None:
    """Go on with a job that failed, from the step that failed."""
    stored = SetupDraft.objects.select_for_update(of=("self",)).get(pk=draft.pk)
    if stored.state != DraftState.FAILED:
        raise Refusal(f"{stored.name} did not fail.", code="not_failed")
    stored.steps.filter(state=StepState.FAILED).update(
        state=StepState.WAITING, message="", script=""
    )
    SetupDraft.objects.filter(pk=stored.pk).update(state=DraftState.CREATING)
    activity.record("setup.again", f"Creating {stored.name} goes on.", user=user)
    transaction.on_commit(_call_worker)


def undo(draft: SetupDraft, *, user: User | None = None) -> None:
    """Take away what a failed job made, so that the draft can be changed again. Must
    not run inside a transaction."""
    stored = SetupDraft.objects.select_related("connection_set").get(pk=draft.pk)
    if stored.state != DraftState.FAILED:
        raise Refusal(f"{stored.name} did not fail.", code="not_failed")
    if stored.connection_set is not None:
        active = stored.connection_set.maps.exclude(state=MapState.NOT_RUNNING)
        if active:
            maps.stop(list(active), user=user)
        environments.unlink(stored.connection_set, user=user)
    with transaction.atomic():
        stored = SetupDraft.objects.select_for_update(of=("self",)).get(pk=draft.pk)
        stored.steps.all().delete()
        SetupDraft.objects.filter(pk=stored.pk).update(
            state=DraftState.EDITING, checked_at=None, passed=False
        )
        activity.record(
            "setup.undone", f"What was made of {stored.name} was undone.", user=user
        )


def work_off() -> int:
    """Work off the jobs nobody works at, as far as they go now; gives the number of
    steps done."""
    waiting = SetupDraft.objects.filter(state=DraftState.CREATING).values_list(
        "pk", flat=True
    )
    return sum(work(draft_id) for draft_id in list(waiting))


def work(draft_id: int) -> int:
    """Do the steps of one job that are not done, until one cannot be done (yet); gives
    the number of steps done. Does nothing where another worker is at it."""
    done = 0
    with alone(LOCK_CLASS, draft_id) as mine:
        while mine and _next_step(draft_id):
            done += 1
    return done


def _next_step(draft_id: int) -> bool:
    """Do the next step; False when there is none, or it is not done."""
    draft = (
        SetupDraft.objects.select_related(
            "finops", "dataverse", "connection_set", "consent_by"
        )
        .filter(pk=draft_id, state=DraftState.CREATING)
        .first()
    )
    if draft is None:
        return False
    step = draft.steps.exclude(state=StepState.DONE).first()
    if step is None:
        _finish(draft)
        return False
    now = timezone.now()
    SetupStep.objects.filter(pk=step.pk).update(
        state=StepState.WORKING,
        started_at=step.started_at or now,
        attempts=F("attempts") + int(step.name != "streams"),
    )
    try:
        message = WORKS[step.name](draft)
    except (Refusal, EngineError, SampleError) as error:
        _fail(draft, step, error)
        return False
    except Exception as error:
        log.error("setup.step_failed", step=step.name, exc_info=error)
        _fail(draft, step, error)
        return False
    if not message:
        return False
    SetupStep.objects.filter(pk=step.pk).update(
        state=StepState.DONE, message=message, script="", finished_at=timezone.now()
    )
    return True


def _fail(draft: SetupDraft, step: SetupStep, error: Exception) -> None:
    script = str(getattr(error, "script", ""))
    if isinstance(error, EngineError):
        script = str(error.details.get("script") or "")
    reasons = [
        reason
        for reason in getattr(error, "reasons", ())
        if reason and reason != script
    ]
    sentence = getattr(error, "message", "") or str(error) or type(error).__name__
    if not isinstance(error, (Refusal, EngineError, SampleError)):
        sentence = f"Something unforeseen happened: {sentence}"
    with transaction.atomic():
        SetupStep.objects.filter(pk=step.pk).update(
            state=StepState.FAILED,
            message="\n".join([sentence, *reasons]),
            script=script,
            finished_at=timezone.now(),
        )
        SetupDraft.objects.filter(pk=draft.pk).update(state=DraftState.FAILED)
        activity.record(
            "setup.failed",
            f"Creating {draft.name} stopped at: {step.title}. {sentence}",
            user=draft.consent_by,
            connection_set=draft.connection_set,
        )


@transaction.atomic
def _finish(draft: SetupDraft) -> None:
    ended = SetupDraft.objects.filter(pk=draft.pk, state=DraftState.CREATING).update(
        state=DraftState.DONE
    )
    if ended:
        activity.record(
            "setup.done",
            f"{draft.name} was set up.",
            user=draft.consent_by,
            connection_set=draft.connection_set,
        )


# The steps


def _link(draft: SetupDraft) -> str:
    finops, dataverse = draft.finops, draft.dataverse
    if finops is None or dataverse is None:
        raise Refusal("An environment of the draft was deleted meanwhile.")
    if draft.connection_set is None:
        for environment in (finops, dataverse):
            refuse_copies(environment)
        with transaction.atomic():
            made = environments.create_connection_set(
                name=draft.name,
                finops=finops,
                dataverse=dataverse,
                legal_entities=pairs_of(draft),
                link_id=draft.link_id,
                user=draft.consent_by,
            )
            SetupDraft.objects.filter(pk=draft.pk).update(connection_set=made)
        draft.connection_set = made
    count = draft.connection_set.legal_entities.count()
    return f"Linked, with {count} {'company' if count == 1 else 'companies'}."


def _made(draft: SetupDraft) -> ConnectionSet:
    if draft.connection_set is None:
        raise Refusal("The link was taken away meanwhile: undo, then create it again.")
    return draft.connection_set


def _install(draft: SetupDraft) -> str:
    names = [one.name for one in draft.maps.all()]
    done = ready_made.install(_made(draft), names, related=False, user=draft.consent_by)
    return f"{len(done.installed) + len(done.present)} maps are there."


def _chosen(draft: SetupDraft) -> dict[str, TableMap]:
    """The stored maps of the draft by name, in the order of the draft."""
    wanted = [one.name for one in draft.maps.all()]
    steps = ready_made.plan(_made(draft), wanted, related=False)
    found = {entry.name: there for entry, there in steps if there is not None}
    return {name: found[name] for name in wanted if name in found}


def _capture(side: Side) -> Work:
    def capture(draft: SetupDraft) -> str:
        chosen = list(_chosen(draft).values())
        prepare_capture(_made(draft), chosen, [side])
        return "Publication and replication slot are there."

    return capture


def _run(draft: SetupDraft) -> str:
    chosen = _chosen(draft)
    lines = {one.name: one for one in draft.maps.all()}
    options = RunOptions(
        masters={
            table_map.pk: Side(lines[name].master) for name, table_map in chosen.items()
        },
        skipped=frozenset(
            table_map.pk for name, table_map in chosen.items() if not lines[name].copies
        ),
        order=[table_map.pk for table_map in chosen.values()],
    )
    maps.run(list(chosen.values()), user=draft.consent_by, options=options)
    copied = sum(one.copies for one in lines.values())
    return f"{copied} copy their rows first, {len(lines) - copied} are live at once."


def _streams(draft: SetupDraft) -> str:
    streams = _made(draft).streams.all()
    if all(stream.state == StreamState.RUNNING for stream in streams):
        return "Both streams run."
    return ""


def _sample(draft: SetupDraft) -> str:
    report = ensure_sample()
    made = ConnectionSet.objects.get(name=CONNECTION_SET)
    SetupDraft.objects.filter(pk=draft.pk).update(connection_set=made)
    if not report.changed:
        return "The sample companies are there already."
    rows = sum(sum(tables.values()) for tables in report.rows.values())
    return f"{rows:,} rows written, {len(report.started)} maps started."


WORKS: Mapping[str, Work] = {
    "link": _link,
    "maps": _install,
    "finops": _capture(Side.FINOPS),
    "dataverse": _capture(Side.DATAVERSE),
    "run": _run,
    "streams": _streams,
    "sample": _sample,
}
