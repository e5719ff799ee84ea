"""How far initial syncs are: rows, speed and time left, per leg and as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils import timezone

from portal.accounts.scope import EVERYTHING, Scope
from portal.maps.models import TableMap
from portal.runs.models import (
    ACTIVE_RUN_STATES,
    Chunk,
    InitialSyncRun,
    LegRun,
    Outcome,
    RunState,
)
from portal.runs.services import COUNTS


@dataclass(frozen=True)
class LegFigures:
    """One direction for one company. Counts of a leg at work include what its workers
    have done of their present chunks."""

    leg: LegRun
    counts: Mapping[str, int]
    rows_per_second: float | None
    seconds_left: float | None

    def document(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "direction": self.leg.direction,
            "legal_entity": self.leg.legal_entity,
            "state": self.leg.state,
            "planned": self.leg.total,
            **self.counts,
            "rows_per_second": self.rows_per_second,
            "seconds_left": self.seconds_left,
        }


@dataclass(frozen=True)
class RunFigures:
    """A run with its legs and their sums. `seconds_left` counts the rows planned so
    far: the second direction is planned when the first is done."""

    run: InitialSyncRun
    legs: Sequence[LegFigures]
    counts: Mapping[str, int]
    total: int
    rows_per_second: float | None
    seconds_left: float | None

    @property
    def active(self) -> bool:
        """True while it copies or catches up."""
        return self.run.state in ACTIVE_RUN_STATES

    @property
    def exported(self) -> int:
        """Rows read so far."""
        return self.counts["exported"]

    @property
    def failed(self) -> int:
        """Records that could not be carried over."""
        return self.counts["failed"]

    @property
    def outcome(self) -> str:
        """How it ended; empty while it goes on, and where it was cancelled."""
        if self.run.outcome or self.run.state != RunState.COMPLETED:
            return self.run.outcome
        return Outcome.WARNING if self.failed else Outcome.COMPLETED

    def document(self) -> dict[str, Any]:
        """As the command line prints it."""
        run = self.run
        return {
            "id": run.pk,
            "map": run.table_map.name,
            "connection_set": run.table_map.connection_set.name,
            "legal_entities": run.legal_entities,
            "master": run.master,
            "mode": run.mode,
            "state": run.state,
            "outcome": self.outcome,
            "message": run.message,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "planned": self.total,
            **self.counts,
            "rows_per_second": self.rows_per_second,
            "seconds_left": self.seconds_left,
            "legs": [leg.document() for leg in self.legs],
        }


def runs_of(maps: Sequence[TableMap | int] | None = None) -> QuerySet[InitialSyncRun]:
    """Runs (of some maps), newest first, with all that `figures` reads."""
    runs = InitialSyncRun.objects.select_related(
        "requested_by", "table_map__connection_set"
    ).prefetch_related("legs")
    return runs if maps is None else runs.filter(table_map__in=maps)


def figures(
    runs: Iterable[InitialSyncRun],
    now: datetime | None = None,
    scope: Scope = EVERYTHING,
) -> list[RunFigures]:
    """How far these runs are; their legs are prefetched. Legs of companies beyond the
    limits are left out, of the sums as well."""
    now = now or timezone.now()
    listed = list(runs)
    at_work = _at_work([run.pk for run in listed if run.state in ACTIVE_RUN_STATES])
    return [_figures(run, at_work, now, scope) for run in listed]


def _at_work(run_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """The counts of the legs of active runs, chunks at work included."""
    if not run_ids:
        return {}
    rows = (
        Chunk.objects.filter(leg_run__run__in=run_ids)
        .order_by()
        .values("leg_run")
        .annotate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    )
    return {
        row["leg_run"]: {name: int(row[f"sum_{name}"]) for name in COUNTS}
        for row in rows
    }


def _figures(
    run: InitialSyncRun,
    at_work: Mapping[int, Mapping[str, int]],
    now: datetime,
    scope: Scope,
) -> RunFigures:
    of_set = run.table_map.connection_set_id if scope.parts else 0
    seen = [
        leg for leg in run.legs.all() if scope.sees_company(of_set, leg.legal_entity)
    ]
    ordered = sorted(seen, key=lambda leg: (leg.order, leg.legal_entity))
    legs = [_leg_figures(leg, at_work.get(leg.pk), now) for leg in ordered]
    counts = {name: sum(leg.counts[name] for leg in legs) for name in COUNTS}
    total = sum(leg.leg.total for leg in legs)
    end = run.copied_at or run.finished_at or now
    speed = _speed(counts["exported"], run.started_at, end)
    copying = run.state in ACTIVE_RUN_STATES and run.copied_at is None
    left = _left(total - counts["exported"], speed) if copying else None
    return RunFigures(run, legs, counts, total, speed, left)


def _leg_figures(
    leg: LegRun, at_work: Mapping[str, int] | None, now: datetime
) -> LegFigures:
    counts = at_work or {name: getattr(leg, name) for name in COUNTS}
    speed = _speed(counts["exported"], leg.started_at, leg.finished_at or now)
    copying = leg.state == RunState.COPYING
    left = _left(leg.total - counts["exported"], speed) if copying else None
    return LegFigures(leg, counts, speed, left)


def _speed(rows: int, since: datetime | None, until: datetime) -> float | None:
    if since is None or not rows:
        return None
    seconds = (until - since).total_seconds()
    return rows / seconds if seconds > 0 else None


def _left(rows: int, speed: float | None) -> float | None:
    return max(rows, 0) / speed if speed else None
