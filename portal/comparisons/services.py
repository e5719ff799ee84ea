"""Asking for comparisons and repairs, cancelling them, and doing one here and now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.comparisons import working
from portal.comparisons.models import (
    ACTIVE_STATES,
    Comparison,
    ComparisonState,
    FoundDifference,
    Trigger,
)
from portal.comparisons.watching import Cancelled
from portal.comparisons.working import Outcome
from portal.maps.models import MapState, TableMap
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.runs.legs import with_legs
from portal.runs.models import InitialSyncRun
from syncengine.mapping.model import ConflictPolicy, Side

if TYPE_CHECKING:
    from portal.accounts.models import User

Progress = Callable[[int], None]
MASTER = "master"
"""In place of a side: the one that wins conflicts, or won the last initial sync."""

SELECTED_AT_MOST = 10_000


def ask(
    table_map: TableMap,
    *,
    repair: str = "",
    delete_extra: bool = False,
    chosen: Sequence[FoundDifference] | None = None,
    trigger: Trigger = Trigger.MANUAL,
    rows_per_second: int = 0,
    user: User | None = None,
) -> Comparison:
    """Have a worker compare a map or, with `repair` (`finops`, `dataverse` or
    `master`), write that side's rows over what differs. `chosen` limits the repair to
    differences of one earlier comparison. Raises Refusal."""
    table_map = with_legs(table_map.pk)
    winner = _winner(table_map, repair)
    if table_map.version is None:
        raise Refusal(f"{table_map.name} has no version yet.", code="no_version")
    if winner and table_map.state == MapState.INITIALIZING:
        raise Refusal(
            f"{table_map.name} is Initializing: wait for its initial sync before "
            "repairing.",
            code="action_forbidden",
        )
    comparison = Comparison(
        table_map=table_map,
        winner=winner,
        delete_extra=bool(winner) and delete_extra,
        trigger=trigger,
        rows_per_second=rows_per_second,
        requested_by=user,
    )
    if chosen is not None:
        comparison.selection = _one_comparison(chosen)
    with transaction.atomic():
        try:
            with transaction.atomic():
                comparison.save()
        except IntegrityError:
            raise ActionForbidden(
                f"{table_map.name} is being compared already: wait for it, or cancel "
                "it."
            ) from None
        if chosen is not None:
            _copy_chosen(comparison, chosen)
        if winner:
            _note_repair(comparison, chosen)
    return comparison


def _winner(table_map: TableMap, repair: str) -> str:
    if repair != MASTER:
        return Side(repair).value if repair else ""
    policy = table_map.version.conflict if table_map.version else ""
    by_policy = {
        ConflictPolicy.FINOPS_WINS.value: Side.FINOPS.value,
        ConflictPolicy.DATAVERSE_WINS.value: Side.DATAVERSE.value,
    }
    if policy in by_policy:
        return by_policy[policy]
    run = InitialSyncRun.objects.filter(table_map=table_map).first()
    if run is None:
        raise Refusal(
            f"{table_map.name} has no master: its conflicts are won by neither side "
            "and it has had no initial sync. Say which side wins.",
            code="no_master",
        )
    return run.master


def _one_comparison(chosen: Sequence[FoundDifference]) -> Comparison:
    if not chosen:
        raise Refusal("Choose at least one difference.", code="nothing_chosen")
    if len(chosen) > SELECTED_AT_MOST:
        raise Refusal(
            f"At most {SELECTED_AT_MOST:,} differences can be chosen; repair all of "
            "them instead.",
            code="too_many_chosen",
        )
    return chosen[0].comparison


def _copy_chosen(comparison: Comparison, chosen: Sequence[FoundDifference]) -> None:
    """The repair keeps its own list: that of the comparison may be forgotten."""
    FoundDifference.objects.bulk_create(
        FoundDifference(
            comparison=comparison,
            kind=one.kind,
            key=one.key,
            source_key=one.source_key,
            key_text=one.key_text,
            reason=one.reason,
        )
        for one in chosen
    )


def _note_repair(
    comparison: Comparison, chosen: Sequence[FoundDifference] | None
) -> None:
    what = "all differences" if chosen is None else f"{len(chosen):,} differences"
    extra = ", deleting what only the other side has" if comparison.delete_extra else ""
    activity.record(
        "map.repair_asked",
        f"{comparison.table_map.name}: repair of {what} from {comparison.winner}"
        f"{extra}.",
        user=comparison.requested_by,
        table_map=comparison.table_map,
        details={"winner": comparison.winner, "comparison": comparison.pk},
    )


def compare_map(
    table_map: TableMap,
    repair: str = "",
    *,
    delete_extra: bool = False,
    trigger: Trigger = Trigger.MANUAL,
    rows_per_second: int = 0,
    user: User | None = None,
    on_progress: Progress | None = None,
) -> Outcome:
    """Compare, or repair, here and now; kept like any other. Raises Refusal and what
    the systems raise."""
    comparison = ask(
        table_map,
        repair=repair,
        delete_extra=delete_extra,
        trigger=trigger,
        rows_per_second=rows_per_second,
        user=user,
    )
    claimed = working.claim(comparison.pk)
    if claimed is None:
        raise Refusal(
            f"A worker has taken the comparison of {table_map.name} already; see its "
            "page.",
            code="taken",
        )
    try:
        return working.work(claimed, on_progress=on_progress)
    except Cancelled:
        raise Refusal(
            f"The comparison of {table_map.name} was cancelled.", code="cancelled"
        ) from None


def cancel(comparison: Comparison, *, user: User | None = None) -> bool:
    """End a comparison: at once where it waits, else at its next progress. False when
    it has ended already."""
    ended = Comparison.objects.filter(
        pk=comparison.pk, state=ComparisonState.WAITING
    ).update(
        state=ComparisonState.CANCELLED,
        cancel_requested=True,
        finished_at=timezone.now(),
    )
    asked = Comparison.objects.filter(
        pk=comparison.pk, state=ComparisonState.RUNNING
    ).update(cancel_requested=True)
    if not (ended or asked):
        return False
    activity.record(
        "map.compare_cancelled",
        f"{comparison.table_map.name}: {str(comparison).lower()} was cancelled.",
        user=user,
        table_map=comparison.table_map,
        details={"comparison": comparison.pk},
    )
    return True


def find(comparison_id: int) -> Comparison:
    """The comparison, with its map. Raises NotFound."""
    found = (
        Comparison.objects.select_related(
            "table_map__connection_set", "table_map__version", "requested_by"
        )
        .filter(pk=comparison_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no comparison {comparison_id}.")
    return found


def active_of(table_map: TableMap) -> Comparison | None:
    """The comparison of the map that waits or runs."""
    return Comparison.objects.filter(
        table_map=table_map, state__in=ACTIVE_STATES
    ).first()
