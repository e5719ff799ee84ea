"""Copying chunks: claim one, copy it, count it once, or hand it back.

A claim is a row in state `running` with a fresh `claimed_at`; `attempts` is its fence:
a worker that lost its claim can neither count nor finish.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from threading import Event, Thread
from time import monotonic
from types import TracebackType

from django.conf import settings
from django.db import connections, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from portal import stopping
from portal.correlation import correlated
from portal.maps.models import TableMap
from portal.runs.legs import MapLegs, load_legs, with_legs
from portal.runs.models import (
    COPYING_STATES,
    Chunk,
    ChunkState,
    InitialSyncRun,
    LegRun,
    RunMode,
    RunState,
)
from portal.runs.queries import copying_beside
from portal.runs.services import COUNTS, fail_run
from portal.sync.journal import PortalJournal
from syncengine.connectors.base import ChunkRange, Writer
from syncengine.errors import EngineError
from syncengine.initial import (
    ChunkResult,
    Deferred,
    complete_rows,
    copy_chunk,
    deferrable,
)
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction
from syncengine.ports import Journal

WORK_SECONDS = 60
HEARTBEAT_SECONDS = 3
CLAIM_SECONDS = 15
"""A claim that was not renewed for so long is free again."""
MAX_ATTEMPTS = 40
MAX_FAULTS = 5
BACK_OFF_SECONDS = 30

logger = logging.getLogger(__name__)


class HandedBack(Exception):
    """This worker stops; another one copies the chunk."""


class ClaimLost(Exception):
    """The run was cancelled, or the chunk was given to another worker."""


def copy_chunks(
    run_id: int | None = None, *, work_seconds: float = WORK_SECONDS
) -> bool:
    """Copy chunks (of one run) for about a minute, in the order of the runs; True when
    some are left to do now. Returns at once when enough workers copy already."""
    deadline = monotonic() + work_seconds
    chunk = claim(run_id) if free_places() > 0 else None
    while chunk is not None and not _over(deadline):
        chunk = _copy_run(chunk, run_id, deadline)
    if chunk is not None:
        release(chunk, "", delay=False)
    return free_places() > 0 and _claimable(run_id).exists()


def _copy_run(chunk: Chunk, run_id: int | None, deadline: float) -> Chunk | None:
    """Copy chunks of one run, with connections kept between them; the claimed chunk
    of another run that comes next."""
    present = chunk.leg_run.run_id
    with ExitStack() as stack:
        stack.enter_context(correlated(chunk.leg_run.run.correlation_id))
        worker = _Worker(stack)
        while worker.copy(chunk):
            if _over(deadline):
                return None
            following = claim(present) or (None if run_id else claim(None))
            if following is None or following.leg_run.run_id != present:
                return following
            chunk = following
    return None if run_id else claim(None)


def _over(deadline: float) -> bool:
    return monotonic() > deadline or stopping.asked()


def free_places() -> int:
    """How many more workers may copy at the same time."""
    fresh = timezone.now() - timedelta(seconds=CLAIM_SECONDS)
    busy = Chunk.objects.filter(state=ChunkState.RUNNING, claimed_at__gt=fresh)
    return int(settings.COPY_WORKERS) - busy.count()


def ready() -> dict[int, int]:
    """How many chunks wait for a worker now, by run."""
    counted = _claimable(None).order_by().values_list("leg_run__run")
    return dict(counted.annotate(number=Count("pk")))


def free_stale(now: datetime) -> int:
    """Take back the chunks of workers that died; gives their number."""
    stale = Chunk.objects.filter(
        state=ChunkState.RUNNING,
        claimed_at__lte=now - timedelta(seconds=CLAIM_SECONDS),
    )
    return _handed_back(stale, None)


def _handed_back(chunks: QuerySet[Chunk], not_before: datetime | None) -> int:
    """Chunks as they were before they were claimed: waiting for their first pass, or
    with its counts for their second; gives their number."""
    second = chunks.filter(deferred__isnull=False).update(
        state=ChunkState.DEFERRED, claimed_at=None, not_before=not_before
    )
    first = chunks.filter(deferred__isnull=True).update(
        state=ChunkState.WAITING,
        claimed_at=None,
        not_before=not_before,
        **dict.fromkeys(COUNTS, 0),
    )
    return first + second


@transaction.atomic
def claim(run_id: int | None) -> Chunk | None:
    """Take the next waiting chunk (of a run), or None when there is none."""
    chunk = (
        _claimable(run_id)
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("leg_run__run")
        .order_by("leg_run__run__position", "leg_run__run_id", "leg_run_id", "number")
        .first()
    )
    if chunk is None:
        return None
    chunk.state = ChunkState.RUNNING
    chunk.attempts += 1
    chunk.claimed_at = timezone.now()
    chunk.save(update_fields=["state", "attempts", "claimed_at"])
    return chunk


def _claimable(run_id: int | None) -> QuerySet[Chunk]:
    chunks = Chunk.objects.filter(
        Q(not_before=None) | Q(not_before__lte=timezone.now()),
        Q(
            leg_run__run__state=RunState.COPYING,
            leg_run__state=RunState.COPYING,
            state=ChunkState.WAITING,
        )
        | Q(leg_run__run__state=RunState.LINKING, state=ChunkState.DEFERRED),
    )
    return chunks if run_id is None else chunks.filter(leg_run__run_id=run_id)


def _held(chunk: Chunk) -> QuerySet[Chunk]:
    """The chunk's row as long as this claim stands and its run is not cancelled."""
    return Chunk.objects.filter(
        pk=chunk.pk,
        state=ChunkState.RUNNING,
        attempts=chunk.attempts,
        leg_run__run__state__in=COPYING_STATES,
    )


class _Heartbeat:
    """Renews a claim from a thread of its own, however long a batch takes."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._end = Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._end.wait(HEARTBEAT_SECONDS):
                _held(self._chunk).update(claimed_at=timezone.now())
        finally:
            connections.close_all()

    def count(self, result: ChunkResult) -> None:
        """Show what is done so far. Raises ClaimLost and HandedBack."""
        if stopping.asked():
            raise HandedBack
        values = {name: getattr(result, name) for name in COUNTS}
        if not _held(self._chunk).update(claimed_at=timezone.now(), **values):
            raise ClaimLost
        if result.failed and refuse_too_many(self._chunk, result.failed):
            raise ClaimLost

    def check(self) -> None:
        """Raises ClaimLost when the claim does not stand any more, and HandedBack."""
        if stopping.asked():
            raise HandedBack
        if not _held(self._chunk).exists():
            raise ClaimLost


class _Worker:
    """Copies chunks of one run with connections and compiled legs kept between them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._legs: MapLegs | None = None
        self._journal: Journal | None = None
        self._writers: dict[Direction, Writer] = {}

    def copy(self, chunk: Chunk) -> bool:
        """Copy one chunk; False when there is no sense in going on with the next."""
        if chunk.attempts > MAX_ATTEMPTS:
            fail_run(
                chunk.leg_run.run,
                "too_many_attempts",
                f"A part of the copy was begun {MAX_ATTEMPTS} times and never ended.",
            )
            return False
        try:
            with _Heartbeat(chunk) as heartbeat:
                result = self._copy(chunk, heartbeat)
            finish(chunk, result)
        except ClaimLost:
            return False
        except HandedBack:
            release(chunk, "", delay=False)
            return False
        except EngineError as error:
            self._refused(chunk, error)
            return False
        except Exception as error:
            logger.exception("copying a chunk failed", extra={"chunk": chunk.pk})
            self._faulty(chunk, error)
            return False
        return True

    def _copy(self, chunk: Chunk, heartbeat: _Heartbeat) -> ChunkResult:
        leg_run = chunk.leg_run
        legs, journal = self._open(leg_run.run)
        direction = Direction(leg_run.direction)
        writer = self._writers.get(direction)
        if writer is None:
            writer = legs.connectors[direction.target].writer(legs.link)
            self._writers[direction] = self._stack.enter_context(closing(writer))
        leg = legs.legs[direction]
        only_new = leg_run.run.mode == RunMode.NEW_ROWS
        insert_only = leg_run.order > 1 or only_new
        if chunk.deferred is not None:
            return complete_rows(
                legs.connectors[direction.source],
                writer,
                leg,
                _deferred(chunk),
                map_id=legs.table_map_id,
                journal=journal,
                legal_entity=leg_run.legal_entity or None,
                insert_only=insert_only,
                alive=heartbeat.check,
            )
        return copy_chunk(
            legs.connectors[direction.source],
            writer,
            leg,
            ChunkRange(_row(chunk.after), _row(chunk.through), chunk.planned_rows),
            map_id=legs.table_map_id,
            journal=journal,
            legal_entity=leg_run.legal_entity or None,
            insert_only=insert_only,
            ignore_failed=only_new,
            defer=deferrable(leg, _still_copying(leg_run.run, direction)),
            progress=heartbeat.count,
        )

    def _open(self, run: InitialSyncRun) -> tuple[MapLegs, Journal]:
        if self._legs is None or self._journal is None:
            table_map = with_legs(run.table_map_id)
            self._legs = load_legs(table_map)
            self._journal = PortalJournal(table_map.connection_set, None)
        return self._legs, self._journal

    def _refused(self, chunk: Chunk, error: EngineError) -> None:
        """An outage waits and tries again; anything else ends the run."""
        run = chunk.leg_run.run
        if error.retryable and chunk.attempts < MAX_ATTEMPTS:
            release(chunk, error.message)
        elif _held(chunk).exists():
            fail_run(run, error.code, error.message)

    def _faulty(self, chunk: Chunk, error: Exception) -> None:
        if chunk.attempts < MAX_FAULTS:
            release(chunk, f"A chunk failed and is tried again: {error}")
        elif _held(chunk).exists():
            fail_run(chunk.leg_run.run, "internal_error", str(error))


def _still_copying(run: InitialSyncRun, direction: Direction) -> set[str]:
    """Tables whose rows are still to come: those other maps of the set are writing.
    A map waits for those it depends on, so these are the ones of a cycle."""
    others = copying_beside(run).select_related("table_map__version")
    field = f"{direction.target.value}_table"
    return {
        getattr(other.table_map.version, field)
        for other in others
        if other.table_map.version is not None
    }


def _deferred(chunk: Chunk) -> Deferred:
    stored = chunk.deferred or {}
    return Deferred(
        [tuple(key) for key in stored.get("begun", ())],
        [tuple(key) for key in stored.get("left", ())],
    )


def finish(chunk: Chunk, result: ChunkResult) -> None:
    """Count a pass over the chunk, once; with deferred rows it waits for another.
    Raises ClaimLost when it is not ours any more."""
    values = {name: getattr(result, name) for name in COUNTS}
    counts: dict[str, object] = dict(values)
    waiting = None
    if chunk.deferred is not None:
        counts = {name: F(name) + value for name, value in values.items()}
    elif result.deferred:
        waiting = {"begun": result.deferred.begun, "left": result.deferred.left}
    with transaction.atomic():
        done = _held(chunk).update(
            state=ChunkState.DEFERRED if waiting else ChunkState.DONE,
            claimed_at=None,
            not_before=None,
            deferred=waiting,
            **counts,
        )
        if not done:
            raise ClaimLost
        LegRun.objects.filter(pk=chunk.leg_run_id).update(
            **{name: F(name) + value for name, value in values.items()}
        )
        run = chunk.leg_run.run
        TableMap.objects.filter(pk=run.table_map_id).update(
            rows_synced=F("rows_synced") + result.inserted + result.updated
        )
        InitialSyncRun.objects.filter(pk=run.pk).exclude(message="").update(message="")
    refuse_too_many(chunk)


def refuse_too_many(chunk: Chunk, more: int = 0) -> bool:
    """End the run when more records of a leg failed than were to be borne; `more` did
    in the chunk at hand."""
    run = chunk.leg_run.run
    if run.error_limit is None and run.error_percent is None:
        return False
    leg = LegRun.objects.get(pk=chunk.leg_run_id)
    failed = leg.failed + more
    share = 100 * failed / max(leg.total, failed, 1)
    too_many = run.error_limit is not None and failed > run.error_limit
    too_large = run.error_percent is not None and share > run.error_percent
    if not (too_many or too_large):
        return False
    bound = f"{run.error_limit:,}" if too_many else f"{run.error_percent:g} %"
    fail_run(
        run,
        "too_many_errors",
        f"{failed:,} of {leg.total:,} records failed, more than the {bound} that were "
        "allowed. Mend the causes in the error list, then run the map again.",
    )
    return True


def release(chunk: Chunk, message: str, *, delay: bool = True) -> None:
    """Hand the chunk back, to be tried again a little later each time (or at once)."""
    wait = min(2 ** min(chunk.attempts, 10), BACK_OFF_SECONDS) if delay else 0
    with transaction.atomic():
        released = _handed_back(_held(chunk), timezone.now() + timedelta(seconds=wait))
        if released and message:
            InitialSyncRun.objects.filter(pk=chunk.leg_run.run_id).update(
                message=message
            )


def _row(values: Sequence[str | None] | None) -> Row | None:
    return None if values is None else tuple(values)
