"""Skipping to live: what waits is set aside, or saved as a file and thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.approvals import services as approvals
from portal.maps import reconciling
from portal.maps import services as maps
from portal.maps.models import Leg, MapState, TableMap
from portal.refusals import ActionForbidden, NotFound
from portal.sync.models import QueuedChange, SavedQueue, SetAsideChange
from portal.sync.saving import Saving
from syncengine.ports import LegMode

if TYPE_CHECKING:
    from portal.accounts.models import User

CHUNK = 2_000

_COLUMNS = """table_map_id, direction, position, ordinal, transaction_id,
    committed_at, kind, key, key_text, columns, new, old, size, scope, created_at"""

_SET_ASIDE = f"""
WITH gone AS (
    DELETE FROM sync_queuedchange
    WHERE table_map_id = ANY(%s) AND scope = 0
    RETURNING {_COLUMNS})
INSERT INTO sync_setasidechange ({_COLUMNS})
SELECT {_COLUMNS} FROM gone ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of ours


class Skip(StrEnum):
    """What becomes of the queue of a map that goes live at once."""

    PRESERVE = "preserve"
    DISCARD = "discard"


def resume(
    chosen: Sequence[TableMap],
    skip: Skip | str | None = None,
    *,
    user: User | None = None,
) -> maps.ActionResult:
    """Let paused maps go on: after what was queued or, with `skip`, at once.

    `preserve` sets the queue aside, to be carried over later (`replay`). `discard`
    saves it as a file first and marks the maps as to be compared. A map that is
    resuming may skip the rest of its queue. All maps or none.
    """
    if skip is None:
        return maps.resume(chosen, user=user)
    skip = Skip(skip)
    ids = [one.pk for one in chosen]
    _refuse(list(TableMap.objects.filter(pk__in=ids)))
    savings: dict[int, Saving] = {}
    if skip is Skip.DISCARD:
        savings = {one.pk: Saving(one, user) for one in chosen}
    try:
        return _skip(ids, skip, savings, user)
    except BaseException:
        SavedQueue.objects.filter(
            pk__in=[saving.saved.pk for saving in savings.values()]
        ).delete()
        raise


def _skip(
    ids: Sequence[int], skip: Skip, savings: dict[int, Saving], user: User | None
) -> maps.ActionResult:
    # Most is saved before anything is locked, the rest while nobody can add to it.
    done = {map_id: _save(savings.get(map_id), map_id, 0) for map_id in ids}
    with transaction.atomic():
        locked = list(
            TableMap.objects.select_for_update(of=("self",), no_key=True)
            .select_related("connection_set")
            .filter(pk__in=ids)
            .order_by("pk")
        )
        _refuse(locked)
        legs = Leg.objects.select_for_update().filter(table_map__in=ids)
        list(legs.order_by("table_map_id", "pk"))
        result = maps.ActionResult(maps.Action.RESUME, activity.new_correlation_id())
        for one in locked:
            number = _take_away(one, skip, savings.get(one.pk), done[one.pk])
            if skip is Skip.DISCARD:
                result.discarded += number
            _go_live(one, skip, number, result.correlation_id, user)
            result.changed.append(one)
        maps.bump_revision([one.connection_set_id for one in locked])
    return result


def _refuse(chosen: Sequence[TableMap]) -> None:
    reasons = [
        f"{one.name} is {one.get_state_display()}: only a paused or resuming map can "
        "skip its queue."
        for one in chosen
        if one.state not in (MapState.PAUSED, MapState.RESUMING)
    ]
    if reasons:
        raise ActionForbidden(
            reasons[0] if len(chosen) == 1 else "None of the maps was changed.",
            reasons=reasons if len(chosen) > 1 else (),
        )
    approvals.refuse_held(chosen)


def _save(saving: Saving | None, map_id: int, after: int) -> int:
    """Save changes added after the id `after`; gives the newest id."""
    if saving is None:
        return 0
    rows = QueuedChange.objects.filter(table_map=map_id, scope=0, pk__gt=after)
    newest = after
    while True:
        portion = list(rows.filter(pk__gt=newest).order_by("pk")[:CHUNK])
        if not portion:
            return newest
        saving.add(portion)
        newest = portion[-1].pk


def _take_away(
    table_map: TableMap, skip: Skip, saving: Saving | None, saved_through: int
) -> int:
    queue = QueuedChange.objects.filter(table_map=table_map, scope=0)
    number = queue.count()
    if skip is Skip.DISCARD:
        _save(saving, table_map.pk, saved_through)
        queue._raw_delete("default")
        if number:
            reconciling.need_reconcile(
                [table_map.pk],
                f"{number:,} queued changes were thrown away when it skipped to live.",
            )
        elif saving is not None:
            saving.saved.delete()
        return number
    if number:
        with connection.cursor() as cursor:
            cursor.execute(_SET_ASIDE, [[table_map.pk]])
        for direction in (
            SetAsideChange.objects.filter(table_map=table_map)
            .order_by()
            .values_list("direction", flat=True)
            .distinct()
        ):
            table_map.legs.filter(direction=direction, scope=0).update(set_aside=True)
    return number


def _go_live(
    table_map: TableMap,
    skip: Skip,
    number: int,
    correlation_id: str,
    user: User | None,
) -> None:
    """By way of draining: what a stream puts into the queue just now is not left."""
    old = table_map.state
    table_map.legs.exclude(mode=LegMode.OFF.value).filter(scope=0).update(
        mode=LegMode.DRAIN.value, fold=False, drain_after=""
    )
    table_map.state = MapState.RESUMING
    table_map.state_reason = ""
    table_map.state_changed_at = timezone.now()
    table_map.paused_with_set = False
    table_map.save(
        update_fields=["state", "state_reason", "state_changed_at", "paused_with_set"]
    )
    what = "set aside" if skip is Skip.PRESERVE else "saved as a file and thrown away"
    activity.record(
        "map.skipped_to_live",
        f"{table_map.name}: skipped to live; {number:,} queued changes were {what}.",
        user=user,
        table_map=table_map,
        old_state=old,
        new_state=MapState.RESUMING,
        correlation_id=correlation_id,
        details={"skip": skip.value, "changes": number},
    )


@transaction.atomic
def replay(table_map: TableMap, *, user: User | None = None) -> int:
    """Carry over what is set aside, record by record: a record that is newer on the
    other side is not overwritten. Gives the number of changes; the map must run."""
    table_map = TableMap.objects.select_for_update(no_key=True).get(pk=table_map.pk)
    if table_map.state != MapState.RUNNING:
        raise ActionForbidden(
            f"{table_map.name} is {table_map.get_state_display()}: what is set aside "
            "can be carried over while it is Running."
        )
    number = SetAsideChange.objects.filter(table_map=table_map).count()
    if not number:
        raise NotFound(f"Nothing of {table_map.name} is set aside.")
    table_map.legs.filter(set_aside=True).update(replay=True)
    maps.bump_revision([table_map.connection_set_id])
    activity.record(
        "map.replay",
        f"{table_map.name}: {number:,} changes that were set aside are carried over.",
        user=user,
        table_map=table_map,
        details={"changes": number},
    )
    return number


def discard_set_aside(
    table_map: TableMap, *, user: User | None = None
) -> tuple[int, SavedQueue | None]:
    """Save what is set aside as a file, then throw it away: the map must be compared.
    Gives the number of changes and the file."""
    if not SetAsideChange.objects.filter(table_map=table_map).exists():
        raise NotFound(f"Nothing of {table_map.name} is set aside.")
    with transaction.atomic():
        TableMap.objects.select_for_update(no_key=True).get(pk=table_map.pk)
        rows = SetAsideChange.objects.select_for_update().filter(table_map=table_map)
        saving = Saving(table_map, user)
        saving.add(rows.order_by("pk").iterator(chunk_size=CHUNK))
        number = saving.saved.changes
        rows = SetAsideChange.objects.filter(table_map=table_map)
        rows._raw_delete("default")
        table_map.legs.update(set_aside=False, replay=False)
        maps.bump_revision([table_map.connection_set_id])
        reconciling.need_reconcile(
            [table_map.pk],
            f"{number:,} changes that were set aside were thrown away.",
            user=user,
        )
    return number, saving.saved


def save_and_stop(table_map: TableMap, reason: str) -> int:
    """Save the queue of a map as a file, then stop the map; gives the number of
    changes. For queues beyond their limits."""
    saving = Saving(table_map, None)
    saved_through = _save(saving, table_map.pk, 0)
    with transaction.atomic():
        TableMap.objects.select_for_update(no_key=True).get(pk=table_map.pk)
        list(Leg.objects.select_for_update().filter(table_map=table_map).order_by("pk"))
        _save(saving, table_map.pk, saved_through)
        maps.stop([table_map])
        TableMap.objects.filter(pk=table_map.pk).update(state_reason=reason)
        activity.record(
            "map.queue_limit",
            f"{table_map.name}: stopped. {reason} Its queue was saved as a file.",
            table_map=table_map,
            details={"changes": saving.saved.changes},
        )
    return saving.saved.changes
