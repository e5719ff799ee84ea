"""Holding waves of changes, and approving or rejecting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts import services as alerts
from portal.approvals.models import Approval, ApprovalState, WaveKind
from portal.environments.models import ConnectionSet
from portal.maps import reconciling
from portal.maps.models import Leg, MapState, TableMap
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.sync.models import QueuedChange, SavedQueue
from portal.sync.saving import Saving
from syncengine.mapping.model import Direction, OnFilterExit
from syncengine.ports import LegConfiguration, LegMode, MassChange

if TYPE_CHECKING:
    from portal.accounts.models import User

ALERT = "approval-needed"
HOLDABLE = (LegMode.LIVE.value, LegMode.DRAIN.value)


@transaction.atomic
def hold(leg: LegConfiguration, wave: MassChange) -> Approval | None:
    """Queue the leg's changes until somebody decides; None where it no longer carries
    anything over."""
    table_map = _lock(leg.map_id)
    held = Leg.objects.filter(pk=leg.leg_id, mode__in=HOLDABLE).update(
        mode=LegMode.QUEUE.value, fold=False, drain_after=""
    )
    if not held:
        return None
    approval, _ = Approval.objects.get_or_create(
        table_map=table_map,
        direction=leg.direction.value,
        state=ApprovalState.OPEN,
        defaults={
            "kind": wave.kind,
            "count": wave.count,
            "rows": wave.rows,
            "sample": [list(key) for key in wave.sample],
        },
    )
    message = (
        f"{table_map.name}: {wave.count:,} {_word(approval)} of {wave.rows:,} rows "
        "wait for your approval. Until then the changes of this direction are queued."
    )
    TableMap.objects.filter(pk=table_map.pk).update(state_reason=message)
    alerts.raise_alert(
        ALERT, message, table_map=table_map, severity="error", about=leg.direction.value
    )
    activity.record(
        "map.changes_held",
        message,
        table_map=table_map,
        details={"approval": approval.pk, "count": wave.count, "rows": wave.rows},
    )
    _bump(table_map)
    return approval


def _word(approval: Approval) -> str:
    return "deletes" if approval.kind == "delete" else "updates"


@transaction.atomic
def approve(approval_id: int, *, user: User | None = None) -> Approval:
    """Carry the held changes over, in their order. Raises Refusal."""
    approval, table_map = _open(approval_id)
    _decide(approval, ApprovalState.APPROVED, user)
    _let_go(approval, table_map)
    activity.record(
        "map.changes_approved",
        f"{table_map.name}: {approval.count:,} held {_word(approval)} were approved.",
        user=user,
        table_map=table_map,
        details={"approval": approval.pk},
    )
    return approval


@transaction.atomic
def reject(approval_id: int, *, user: User | None = None) -> Approval:
    """Keep the held deletes (or updates) as a file instead of carrying them over; the
    other queued changes go on, and the map must be compared. Raises Refusal."""
    approval, table_map = _open(approval_id)
    rows = _held_changes(approval)
    approval.saved = _save(table_map, rows, user)
    approval.discarded = rows._raw_delete("default")
    _decide(approval, ApprovalState.REJECTED, user)
    _let_go(approval, table_map)
    message = (
        f"{approval.discarded:,} {_word(approval)} were rejected, so both sides differ."
    )
    activity.record(
        "map.changes_rejected",
        f"{table_map.name}: {message}",
        user=user,
        table_map=table_map,
        details={"approval": approval.pk, "saved_queue": approval.saved_id},
    )
    reconciling.need_reconcile([table_map.pk], message, user=user)
    return approval


@transaction.atomic
def lapse(maps: Sequence[TableMap]) -> None:
    """The maps are stopped: there is nothing left to decide."""
    for approval in Approval.objects.filter(
        table_map__in=maps, state=ApprovalState.OPEN
    ).select_related("table_map__connection_set"):
        _decide(approval, ApprovalState.LAPSED, None)


def open_of(maps: Sequence[TableMap]) -> QuerySet[Approval]:
    """What waits of these maps."""
    return Approval.objects.filter(table_map__in=maps, state=ApprovalState.OPEN)


def refuse_held(maps: Sequence[TableMap]) -> None:
    """What is held must not slip through with the rest of a queue. Raises
    ActionForbidden."""
    held = [
        f"{one.table_map.name}: {one}"
        for one in open_of(maps).select_related("table_map")
    ]
    if held:
        raise ActionForbidden(
            "Changes wait for approval: approve or reject them first (page Approvals, "
            "or dw approvals).",
            reasons=held,
        )


def _open(approval_id: int) -> tuple[Approval, TableMap]:
    approval = Approval.objects.filter(pk=approval_id).first()
    if approval is None:
        raise NotFound(f"There is no approval with id {approval_id}.")
    table_map = _lock(approval.table_map_id)
    approval = Approval.objects.select_for_update().get(pk=approval_id)
    approval.table_map = table_map
    if approval.state != ApprovalState.OPEN:
        raise Refusal(
            f"Approval {approval_id} is {approval.get_state_display().lower()} "
            "already.",
            code="decided_already",
        )
    return approval, table_map


def _decide(approval: Approval, state: ApprovalState, user: User | None) -> None:
    approval.state = state
    approval.decided_at = timezone.now()
    approval.decided_by = user
    approval.save()
    alerts.clear_alert(ALERT, table_map=approval.table_map, about=approval.direction)


def _let_go(approval: Approval, table_map: TableMap) -> None:
    """What is queued now has been decided on; a map that is paused stays so."""
    leg = Leg.objects.filter(table_map=table_map, direction=approval.direction, scope=0)
    leg.update(approved_through=F("queued_through"))
    if table_map.state in (MapState.RUNNING, MapState.RESUMING):
        leg.filter(mode=LegMode.QUEUE.value).update(mode=LegMode.DRAIN.value)
        others = open_of([table_map]).exclude(pk=approval.pk)
        if not others.exists():
            TableMap.objects.filter(pk=table_map.pk).update(state_reason="")
    _bump(table_map)


def _held_changes(approval: Approval) -> QuerySet[QueuedChange]:
    kinds = [approval.kind]
    version = approval.table_map.version
    if (
        approval.kind == WaveKind.DELETE
        and version is not None
        and version.on_filter_exit == OnFilterExit.DELETE.value
    ):
        # Rows that left the filter were among the deletes; an update lost here is
        # found again by the comparison.
        kinds.append(WaveKind.UPDATE)
    return QueuedChange.objects.filter(
        table_map=approval.table_map_id,
        direction=approval.direction,
        scope=0,
        kind__in=kinds,
    )


def _save(
    table_map: TableMap, rows: QuerySet[QueuedChange], user: User | None
) -> SavedQueue:
    """The changes as a file, in their order."""
    saving = Saving(table_map, user)
    saving.add(rows.order_by("position", "ordinal").iterator(chunk_size=2_000))
    return saving.saved


def side_of(approval: Approval) -> str:
    """The side that would be written."""
    return Direction(approval.direction).target.value


def _lock(map_id: int) -> TableMap:
    return (
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set")
        .get(pk=map_id)
    )


def _bump(table_map: TableMap) -> None:
    ConnectionSet.objects.filter(pk=table_map.connection_set_id).update(
        revision=F("revision") + 1
    )
