"""Doing a comparison: claim it, compare or repair, and write down how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.comparisons.catching_up import CatchUp
from portal.comparisons.findings import Findings, forget_older
from portal.comparisons.models import Comparison, ComparisonState, Trigger
from portal.comparisons.watching import Cancelled, Watch
from portal.maps import reconciling
from portal.maps.models import TableMap
from portal.refusals import Refusal
from portal.runs.legs import MapLegs, load_legs, with_legs
from syncengine.errors import EngineError
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Side
from syncengine.reconcile import CompareResult, compare
from syncengine.reconcile_passes import PART_ROWS
from syncengine.repair import RepairResult, repair

log = structlog.get_logger(__name__)

EXAMPLES = 20
SILENT_AFTER = timedelta(seconds=60)
ATTEMPTS = 3
DRIFT = "drift"
"""The kind of alert about a map whose sides differ."""


@dataclass(frozen=True)
class Outcome:
    """What was found and, after a repair, what was written."""

    comparison: Comparison
    found: CompareResult
    repaired: RepairResult | None = None

    @property
    def table_map(self) -> TableMap:
        """The map."""
        return self.comparison.table_map

    @property
    def in_step(self) -> bool:
        """True when nothing differs (any more)."""
        return self.comparison.in_step


def claim(comparison_id: int) -> Comparison | None:
    """Take a waiting comparison; None when somebody else has it, or it has ended."""
    now = timezone.now()
    taken = Comparison.objects.filter(
        pk=comparison_id, state=ComparisonState.WAITING
    ).update(
        state=ComparisonState.RUNNING,
        started_at=now,
        heartbeat_at=now,
        attempts=F("attempts") + 1,
    )
    if not taken:
        return None
    return Comparison.objects.select_related("requested_by").get(pk=comparison_id)


def hand_back(comparison: Comparison) -> None:
    """This worker stopped while it compared: another one begins anew, unless somebody
    wanted the comparison to end."""
    Comparison.objects.filter(
        pk=comparison.pk, state=ComparisonState.CANCELLED, cancel_requested=False
    ).update(
        state=ComparisonState.WAITING,
        message="",
        finished_at=None,
        attempts=F("attempts") - 1,
    )


def work(
    comparison: Comparison,
    *,
    on_progress: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Do a claimed comparison. Raises Refusal, what the systems raise, and Cancelled;
    the row says how it ended in any case."""
    comparison.table_map = with_legs(comparison.table_map_id)
    # A second attempt finds everything anew; a selection is the repair's own list.
    if comparison.selection_id is None:
        comparison.found.all().delete()
    try:
        with Watch(comparison, stop, on_progress) as watch:
            outcome = _carry_out(comparison, watch)
    except Cancelled:
        _end(comparison, ComparisonState.CANCELLED, "Cancelled before it was done.")
        raise
    except (EngineError, Refusal) as error:
        _end(comparison, ComparisonState.FAILED, error.message)
        raise
    except BaseException:
        _end(comparison, ComparisonState.FAILED, "It was interrupted.")
        raise
    _conclude(outcome)
    return outcome


def _carry_out(comparison: Comparison, watch: Watch) -> Outcome:
    legs = load_legs(comparison.table_map)
    findings = Findings(comparison)
    if comparison.winner:
        return _repair(comparison, legs, findings, watch)
    found = compare(
        legs.connectors[Side.FINOPS],
        legs.connectors[Side.DATAVERSE],
        legs.to_dataverse,
        legs.to_finops,
        on_progress=watch.progress,
        max_examples=EXAMPLES,
        on_difference=findings.take,
        catch_up=_catch_up(comparison, legs),
        part_rows=_part_rows(comparison),
    )
    findings.flush()
    _count(comparison, found, watch.rows, findings.kept)
    comparison.in_step = found.in_step
    return Outcome(comparison, found)


def _repair(
    comparison: Comparison, legs: MapLegs, findings: Findings, watch: Watch
) -> Outcome:
    winner = Side(comparison.winner)
    chosen = comparison.selection_id is not None
    writer = legs.connectors[winner.other].writer(legs.link)
    try:
        repaired = repair(
            legs.connectors[Side.FINOPS],
            legs.connectors[Side.DATAVERSE],
            legs.to_dataverse,
            legs.to_finops,
            winner=winner,
            writer=writer,
            only=_chosen(comparison) if chosen else None,
            delete_extra=comparison.delete_extra,
            on_progress=watch.progress,
            on_difference=None if chosen else findings.take,
            catch_up=_catch_up(comparison, legs),
            max_examples=EXAMPLES,
            part_rows=_part_rows(comparison),
        )
    finally:
        writer.close()
    findings.flush()
    findings.note_failures(repaired.failures)
    kept = comparison.found.count() if chosen else findings.kept
    _count(comparison, repaired.found, watch.rows, kept)
    comparison.inserted = repaired.inserted
    comparison.updated = repaired.updated
    comparison.unchanged = repaired.unchanged
    comparison.deleted = repaired.deleted
    comparison.left_alone = repaired.extra - repaired.deleted
    comparison.failed = len(repaired.failures)
    comparison.in_step = not (comparison.left_alone > 0 or repaired.failures)
    return Outcome(comparison, repaired.found, repaired)


def _chosen(comparison: Comparison) -> dict[Row, Row | None]:
    rows = comparison.found.values_list("key", "source_key")
    return {
        tuple(key): None if source is None else tuple(source) for key, source in rows
    }


def _catch_up(comparison: Comparison, legs: MapLegs) -> CatchUp | None:
    catch_up = CatchUp(comparison.table_map, legs.connectors)
    return catch_up if catch_up.needed else None


def _part_rows(comparison: Comparison) -> int:
    """With a limit on the load, no more at once than two seconds may take."""
    limit = comparison.rows_per_second
    return max(1_000, 2 * limit) if limit else PART_ROWS


def _count(comparison: Comparison, found: CompareResult, rows: int, kept: int) -> None:
    comparison.rows_read = rows
    comparison.equal = found.equal
    comparison.missing_in_finops = found.missing_in_finops
    comparison.missing_in_dataverse = found.missing_in_dataverse
    comparison.different = found.different
    comparison.unclaimed = found.unclaimed
    comparison.kept = kept


def _end(comparison: Comparison, state: ComparisonState, message: str) -> None:
    comparison.state = state
    comparison.message = message
    comparison.finished_at = timezone.now()
    comparison.save()
    log.info("comparison.end", comparison=comparison.pk, state=state.value)


def _conclude(outcome: Outcome) -> None:
    """Write the counts down and tell whoever should know."""
    comparison = outcome.comparison
    _end(comparison, ComparisonState.COMPLETED, "")
    forget_older(comparison)
    table_map = comparison.table_map
    whole = comparison.selection_id is None
    if comparison.winner:
        activity.record(
            "map.repaired",
            f"{table_map.name}: repaired from {comparison.winner}: "
            f"{comparison.inserted} inserted, {comparison.updated} updated, "
            f"{comparison.deleted} deleted, {comparison.failed} failed.",
            user=comparison.requested_by,
            table_map=table_map,
            details={"winner": comparison.winner, "comparison": comparison.pk},
        )
    if whole and comparison.in_step:
        alerts.clear_alert(DRIFT, table_map=table_map)
    if whole and (comparison.in_step or comparison.winner):
        _no_longer_doubtful(comparison)
    if comparison.trigger != Trigger.MANUAL and not comparison.in_step:
        alerts.raise_alert(
            DRIFT,
            _drift(comparison),
            table_map=table_map,
            comparison=comparison.pk,
            differences=comparison.differences,
        )


def _drift(comparison: Comparison) -> str:
    parts = [
        (comparison.different, "different"),
        (comparison.missing_in_finops, "missing in finance and operations"),
        (comparison.missing_in_dataverse, "missing in Dataverse"),
    ]
    words = ", ".join(f"{number:,} {what}" for number, what in parts if number)
    return (
        f"{comparison.table_map.name}: {comparison.differences:,} of "
        f"{comparison.compared:,} records are not in step ({words}). Look at "
        f"comparison {comparison.pk} and repair them."
    )


def _no_longer_doubtful(comparison: Comparison) -> None:
    """The map need not be compared any more, unless that became so meanwhile."""
    present = TableMap.objects.get(pk=comparison.table_map_id)
    since, started = present.reconcile_needed_at, comparison.started_at
    if since is not None and started is not None and since <= started:
        reconciling.reconciled(present)


def free_silent(now: datetime | None = None) -> int:
    """Let comparisons whose worker died be taken again, or end them after several
    attempts; gives their number."""
    now = now or timezone.now()
    silent = Comparison.objects.filter(
        state=ComparisonState.RUNNING, heartbeat_at__lt=now - SILENT_AFTER
    )
    ended = silent.filter(
        Q(attempts__gte=ATTEMPTS) | Q(cancel_requested=True) | ~Q(winner="")
    ).update(
        state=ComparisonState.FAILED,
        finished_at=now,
        message="The worker that did it ended. Start it again.",
    )
    freed = silent.update(state=ComparisonState.WAITING)
    return ended + freed
