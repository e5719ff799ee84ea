"""The state machine of initial syncs. All state is in rows; each step may run again.

waiting: until both streams queue the map's changes, and until the maps its lookups
lead to are copied. copying: leg by leg, each cut into chunks that workers claim.
linking: rows whose references led to rows that came later are loaded again. draining:
 the streams replay what was queued; `complete_run` ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.environments.models import Stream
from portal.maps import preparation
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.refusals import Refusal
from portal.runs import chunks, joining, scopes
from portal.runs.legs import MapLegs
from portal.runs.models import (
    ACTIVE_RUN_STATES,
    COPYING_STATES,
    Chunk,
    ChunkState,
    InitialSyncRun,
    LegRun,
    RunState,
)
from portal.runs.queries import copying_beside
from portal.runs.services import complete_run, fail_run
from portal.runs.tick import Tick
from syncengine.connectors.base import ChunkRange
from syncengine.errors import EngineError
from syncengine.initial import CHUNK_ROWS, plan_leg
from syncengine.mapping.model import Direction, Side
from syncengine.ports import LegMode

LOCK = (7_470_001, 1)
"""Advisory lock of the portal's database: one tick at a time."""

logger = logging.getLogger(__name__)


def advance_runs(*, chunk_rows: int = CHUNK_ROWS) -> dict[int, int]:
    """Move each active run on as far as it goes now; gives, by run, how many workers
    should be called to copy. Returns at once while another tick is at work."""
    wanted: dict[int, int] = {}
    with _alone() as alone:
        if not alone:
            return wanted
        chunks.free_stale(timezone.now())
        tick = Tick()
        for run in _active():
            try:
                _advance(run, tick, chunk_rows)
            except EngineError as error:
                _stumbled(run, error.code, error.message, retryable=error.retryable)
            except Refusal as refusal:
                _stumbled(run, refusal.code, str(refusal), retryable=refusal.retryable)
        joining.settle(timezone.now())
        places = chunks.free_places()
        for run_id, ready in chunks.ready().items():
            if (workers := min(places, ready)) > 0:
                wanted[run_id] = workers
                places -= workers
    return wanted


def _active() -> Sequence[InitialSyncRun]:
    return list(
        InitialSyncRun.objects.filter(state__in=ACTIVE_RUN_STATES)
        .select_related("table_map__connection_set")
        .order_by("table_map__run_order", "pk")
    )


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK)
        row = cursor.fetchone()
    held = bool(row and row[0])
    try:
        yield held
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", LOCK)


def _advance(run: InitialSyncRun, tick: Tick, chunk_rows: int) -> None:
    if run.state == RunState.WAITING:
        if run.joins and not run.queued_revision and _knows_no_companies(run, tick):
            complete_run(run)
            maps.bump_revision([run.table_map.connection_set_id])
            return
        reason = _what_it_waits_for(run, tick)
        if reason:
            _say(run, reason)
            return
        _start(run)
    if run.state == RunState.COPYING:
        _copy(run, tick, chunk_rows)
    if run.state == RunState.LINKING:
        if not _unlinked(run).exists():
            _drain(run, tick)
    elif run.state == RunState.DRAINING and _is_live(run):
        complete_run(run)


def _is_live(run: InitialSyncRun) -> bool:
    if run.joins:
        return scopes.all_live(run)
    return run.table_map.state == MapState.RUNNING


def _stumbled(run: InitialSyncRun, code: str, message: str, *, retryable: bool) -> None:
    """An outage is tried again with the next tick; anything else ends the run."""
    if retryable:
        _say(run, message)
    else:
        fail_run(run, code, message)


def _say(run: InitialSyncRun, message: str) -> None:
    if run.message != message:
        run.message = message
        InitialSyncRun.objects.filter(pk=run.pk, state=run.state).update(
            message=message
        )


# Waiting


def _knows_no_companies(run: InitialSyncRun, tick: Tick) -> bool:
    """True when nothing of the map belongs to a company: it has all rows already."""
    legs = tick.legs(run).legs.values()
    return all(leg.source_company is None for leg in legs)


def _what_it_waits_for(run: InitialSyncRun, tick: Tick) -> str:
    connection_set = run.table_map.connection_set
    if not run.queued_revision:
        if run.joins:
            scopes.open_scope(run)
            connection_set.refresh_from_db(fields=["revision"])
        run.queued_revision = connection_set.revision
        run.save(update_fields=["queued_revision"])
    definition = preparation.definition(run.table_map)
    for direction in Direction:
        if not definition.flows(direction):
            continue
        caught_up = Stream.objects.filter(
            connection_set=connection_set,
            source=direction.source.value,
            acknowledged_revision__gte=run.queued_revision,
        ).exists()
        if not caught_up:
            environment = connection_set.environment(direction.source)
            return f"Waiting for the stream of {environment.name}."
    return _unfinished_prerequisites(run, tick)


def _unfinished_prerequisites(run: InitialSyncRun, tick: Tick) -> str:
    """The maps whose rows must be there first and are not yet, in a sentence."""
    others = {
        name: place
        for name, *place in copying_beside(run).values_list(
            "table_map__name", "position", "pk"
        )
    }
    if not others:
        return ""
    mine = [run.position, run.pk]
    first = [
        name
        for name in tick.needs(run.table_map)
        if name in others and others[name] < mine
    ]
    return f"Waiting for the copy of {', '.join(first)}." if first else ""


def _start(run: InitialSyncRun) -> None:
    started = InitialSyncRun.objects.filter(pk=run.pk, state=RunState.WAITING).update(
        state=RunState.COPYING, message="", started_at=timezone.now()
    )
    if started:
        run.state = RunState.COPYING
        run.message = ""


# Copying


def _copy(run: InitialSyncRun, tick: Tick, chunk_rows: int) -> None:
    """Plan the legs whose turn it is, close those that are done."""
    leg_runs = list(run.legs.all())
    legs: MapLegs | None = None
    if not leg_runs:
        legs = tick.legs(run)
        leg_runs = _create_leg_runs(run, legs)
    for order in sorted({leg_run.order for leg_run in leg_runs}):
        turn = [leg_run for leg_run in leg_runs if leg_run.order == order]
        for leg_run in turn:
            if leg_run.state == RunState.WAITING:
                legs = legs or tick.legs(run)
                _plan(leg_run, legs, chunk_rows)
            _close_if_done(leg_run)
        if any(leg_run.state != RunState.COMPLETED for leg_run in turn):
            return
    if run.copied_at is None:
        run.copied_at = timezone.now()
        run.save(update_fields=["copied_at"])
    if not _unlinked(run).exists():
        _drain(run, tick)
    elif waiting := _copied_later(run, tick):
        _say(run, f"Waiting for the copy of {', '.join(waiting)}.")
    else:
        _begin_linking(run)


def _unlinked(run: InitialSyncRun) -> QuerySet[Chunk]:
    """Chunks with rows that wait for references, or are being completed."""
    return Chunk.objects.filter(
        leg_run__run=run, state__in=(ChunkState.DEFERRED, ChunkState.RUNNING)
    )


def _begin_linking(run: InitialSyncRun) -> None:
    """All rows that references of this run lead to are there now: workers fill them."""
    moved = InitialSyncRun.objects.filter(pk=run.pk, state=RunState.COPYING).update(
        state=RunState.LINKING, message=""
    )
    if moved:
        run.state = RunState.LINKING
        run.message = ""


def _copied_later(run: InitialSyncRun, tick: Tick) -> list[str]:
    """The maps whose rows this one refers to and that are still being copied."""
    others = set(copying_beside(run).values_list("table_map__name", flat=True))
    return [name for name in tick.needs(run.table_map) if name in others]


def _create_leg_runs(run: InitialSyncRun, legs: MapLegs) -> list[LegRun]:
    """One leg per direction and company: first the master's, then the other side's
    rows that the master lacks."""
    first = Direction.from_source(Side(run.master))
    created: list[LegRun] = []
    for direction in (first, first.reverse):
        leg = legs.legs.get(direction)
        if leg is None:
            continue
        companies = [""]
        if leg.source_company is not None:
            finops_first = direction.source is Side.FINOPS
            companies = sorted(
                leg.companies if finops_first else leg.companies.values()
            )
            if run.joins:
                companies = [one for one in companies if one in run.legal_entities]
        created += [
            LegRun(
                run=run,
                direction=direction.value,
                order=1 if direction is first else 2,
                legal_entity=company,
            )
            for company in companies
        ]
    LegRun.objects.bulk_create(created)
    return created


def _plan(leg_run: LegRun, legs: MapLegs, chunk_rows: int) -> None:
    direction = Direction(leg_run.direction)
    ranges = plan_leg(
        legs.connectors[direction.source],
        legs.legs[direction],
        leg_run.legal_entity or None,
        chunk_rows,
    )
    _keep_plan(leg_run, ranges, timezone.now())


@transaction.atomic
def _keep_plan(leg_run: LegRun, ranges: Sequence[ChunkRange], now: datetime) -> None:
    total = sum(one.rows for one in ranges)
    planned = LegRun.objects.filter(pk=leg_run.pk, state=RunState.WAITING).update(
        state=RunState.COPYING, total=total, started_at=now
    )
    if not planned:
        leg_run.refresh_from_db()
        return
    Chunk.objects.bulk_create(
        [
            Chunk(
                leg_run=leg_run,
                number=number,
                after=one.after,
                through=one.through,
                planned_rows=one.rows,
            )
            for number, one in enumerate(ranges, 1)
        ],
        batch_size=1000,
    )
    leg_run.state = RunState.COPYING
    leg_run.total = total


def _close_if_done(leg_run: LegRun) -> None:
    if leg_run.state != RunState.COPYING:
        return
    if leg_run.chunks.exclude(
        state__in=(ChunkState.DONE, ChunkState.DEFERRED)
    ).exists():
        return
    LegRun.objects.filter(pk=leg_run.pk, state=RunState.COPYING).update(
        state=RunState.COMPLETED, finished_at=timezone.now()
    )
    leg_run.state = RunState.COMPLETED


# Draining


def _drain(run: InitialSyncRun, tick: Tick) -> None:
    """The copy has ended: replay what was queued up to now, then go live."""
    legs = tick.legs(run)
    positions: dict[Direction, str] = {}
    for direction in legs.legs:
        with legs.connectors[direction.source].reader() as reader:
            positions[direction] = reader.position()
    _switch_to_drain(run, positions)


@transaction.atomic
def _switch_to_drain(run: InitialSyncRun, positions: Mapping[Direction, str]) -> None:
    table_map = TableMap.objects.select_for_update(no_key=True).get(pk=run.table_map_id)
    switched = InitialSyncRun.objects.filter(
        pk=run.pk, state__in=COPYING_STATES
    ).update(state=RunState.DRAINING, message="")
    if not switched:
        return
    mode = LegMode.DRAIN
    if run.joins and table_map.state == MapState.PAUSED:
        mode = LegMode.QUEUE  # until the map is resumed
    elif not run.joins and table_map.state != MapState.INITIALIZING:
        return
    for direction, position in positions.items():
        table_map.legs.filter(
            direction=direction.value,
            mode=LegMode.QUEUE.value,
            scope=run.pk if run.joins else 0,
        ).update(mode=mode.value, drain_after=position, fold=True)
    maps.bump_revision([table_map.connection_set_id])
    run.state = RunState.DRAINING
