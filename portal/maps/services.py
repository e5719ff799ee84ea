"""What administrators do with maps: make, delete, run, pause, resume, stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.services import SCHEMA_CHANGED, clear_alert
from portal.approvals import services as approvals
from portal.environments.models import ConnectionSet
from portal.labels import SIDES
from portal.maps import health, preparation, removal, scope_changes
from portal.maps.health import Warned
from portal.maps.models import Leg, MapState, TableMap
from portal.maps.queries import open_errors
from portal.maps.run_options import DEFAULT_MASTER, RunOptions
from portal.maps.states import NEXT, Action, allowed_actions, is_done, refusal
from portal.maps.versions import create_version, refuse_unstorable
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.runs.models import (
    ACTIVE_RUN_STATES,
    UNCOPIED_STATES,
    InitialSyncRun,
    RunMode,
    RunState,
)
from portal.sync.models import QueuedChange, SetAsideChange
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.model import TableMap as Definition
from syncengine.ports import LegMode

if TYPE_CHECKING:
    from portal.accounts.models import User

__all__ = [
    "DEFAULT_MASTER",
    "Action",
    "ActionResult",
    "RunOptions",
    "allowed_actions",
    "bump_revision",
    "create_map",
    "delete",
    "pause",
    "perform",
    "resume",
    "run",
    "stop",
]


_FORGOTTEN = {
    "queued_through": "",
    "spooled": False,
    "set_aside": False,
    "replay": False,
}
"""What a leg knows of the queue of its former life."""


@dataclass
class ActionResult:
    """What an action did. `unchanged` maps already were what was asked for;
    `discarded` counts queued changes that a stop threw away; `warnings` are what the
    health check says of maps that were run."""

    action: Action
    correlation_id: str
    changed: list[TableMap] = field(default_factory=list)
    unchanged: list[TableMap] = field(default_factory=list)
    discarded: int = 0
    warnings: list[Warned] = field(default_factory=list)


@dataclass
class _Prepared:
    """The maps to run, every map's place in the order, and the warnings."""

    maps: list[TableMap] = field(default_factory=list)
    order: dict[int, int] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)


def bump_revision(connection_set_ids: Sequence[int]) -> None:
    """Tell the streams of these connection sets that something changed."""
    ConnectionSet.objects.filter(pk__in=set(connection_set_ids)).update(
        revision=F("revision") + 1
    )


@transaction.atomic
def create_map(
    connection_set: ConnectionSet, definition: Definition, *, user: User | None = None
) -> TableMap:
    """A new map with its first version, not running."""
    refuse_unstorable(definition)
    preparation.refuse_retired(connection_set.pk)
    if TableMap.objects.filter(
        connection_set=connection_set, name=definition.name
    ).exists():
        raise Refusal(
            f"{connection_set} already has a map {definition.name}.", code="duplicate"
        )
    table_map = TableMap.objects.create(
        connection_set=connection_set,
        name=definition.name,
        state_changed_at=timezone.now(),
    )
    create_version(table_map, definition, user=user)
    return table_map


@transaction.atomic
def delete(table_map: TableMap, *, user: User | None = None) -> None:
    """Delete a map with its versions, runs and errors; its activity is kept.

    Refused unless it is Not running. The records of both systems stay as they are.
    Their publication keeps the table, whose changes the streams pass over, until the
    connection set is unlinked: other maps may share the table, and taking it out
    needs the rights of its owner.
    """
    table_map = _lock([table_map.pk])[0]
    if table_map.state != MapState.NOT_RUNNING:
        raise ActionForbidden(
            f"{table_map.name} is {table_map.get_state_display()}, so it cannot be "
            "deleted: stop it first."
        )
    activity.record(
        "map.deleted",
        f"{table_map.name} of {table_map.connection_set} was deleted.",
        user=user,
        connection_set=table_map.connection_set,
        old_state=table_map.state,
        details={
            "map": table_map.name,
            "version": str(table_map.version or ""),
            "open_errors": open_errors([table_map]).get(table_map.pk, 0),
        },
    )
    bump_revision([table_map.connection_set_id])
    removal.remove_maps([table_map.pk])


def run(
    maps: Sequence[TableMap | int],
    *,
    user: User | None = None,
    skip_initial_sync: bool = False,
    master: Side | str | None = None,
    related: bool = False,
    options: RunOptions | None = None,
) -> ActionResult:
    """Run maps, with an initial sync unless it is skipped. `related` adds the maps
    that theirs depend on; `options` say more and go before the others. See
    `perform`."""
    options = options or RunOptions(
        skip_initial_sync, Side(master) if master else DEFAULT_MASTER, related
    )
    return perform(Action.RUN, maps, user=user, options=options)


def pause(maps: Sequence[TableMap | int], *, user: User | None = None) -> ActionResult:
    """From now on queue the maps' changes instead of writing them."""
    return perform(Action.PAUSE, maps, user=user)


def resume(maps: Sequence[TableMap | int], *, user: User | None = None) -> ActionResult:
    """Write what was queued, then go on live."""
    return perform(Action.RESUME, maps, user=user)


def stop(maps: Sequence[TableMap | int], *, user: User | None = None) -> ActionResult:
    """End the maps: running copies are cancelled, queued changes thrown away."""
    return perform(Action.STOP, maps, user=user)


def perform(
    action: Action | str,
    maps: Sequence[TableMap | int],
    *,
    user: User | None = None,
    options: RunOptions | None = None,
) -> ActionResult:
    """Do `action` with all maps or, where one of them forbids it, with none.

    Raises ActionForbidden naming each map whose state forbids it, ValidationRefused
    with all findings (run), and Refusal when a system cannot be reached or prepared
    (run). Maps that already are what is asked for are left as they are. To run, the
    caller must not hold a transaction.
    """
    action = Action(action)
    ids = list(dict.fromkeys(m.pk if isinstance(m, TableMap) else m for m in maps))
    chosen = _present(ids)
    options = options or RunOptions()
    places: dict[int, int] = {}
    versions: dict[int, int | None] = {}
    warnings: list[Warned] = []
    if action is Action.RUN:
        _refuse_forbidden(action, chosen)
        prepared = _prepare(chosen, options)
        chosen, warnings = prepared.maps, prepared.warnings
        if not options.approve_filters:
            scope_changes.refuse_shrunk(_with_ran_version(chosen))
        places = options.places(prepared.order)
        versions = {table_map.pk: table_map.version_id for table_map in chosen}
    result = ActionResult(action, activity.new_correlation_id(), warnings=warnings)
    with transaction.atomic():
        locked = _lock([table_map.pk for table_map in chosen])
        _refuse_forbidden(action, locked)
        if action is Action.RESUME:
            approvals.refuse_held(locked)
        if action is Action.STOP:
            approvals.lapse(locked)
        for table_map in locked:
            if is_done(action, table_map.state):
                result.unchanged.append(table_map)
                continue
            if action is Action.RUN and table_map.connection_set.retired_at:
                preparation.refuse_retired(table_map.connection_set_id)
            if action is Action.RUN and (
                versions[table_map.pk] != table_map.version_id
            ):
                raise Refusal(
                    f"{table_map.name} got another version meanwhile: try again.",
                    code="changed_meanwhile",
                )
            table_map.run_order = places.get(table_map.pk, table_map.run_order)
            _apply(action, table_map, options, result, user)
            result.changed.append(table_map)
        bump_revision([table_map.connection_set_id for table_map in result.changed])
    return result


def _with_ran_version(maps: Sequence[TableMap]) -> list[TableMap]:
    return list(
        TableMap.objects.filter(
            pk__in=[one.pk for one in maps], ran_version__isnull=False
        ).select_related(
            "version__table_map",
            "ran_version",
            "connection_set__finops",
            "connection_set__dataverse",
        )
    )


def _present(ids: Sequence[int]) -> list[TableMap]:
    found = {
        table_map.pk: table_map
        for table_map in TableMap.objects.filter(pk__in=ids).select_related(
            "connection_set"
        )
    }
    missing = [str(pk) for pk in ids if pk not in found]
    if missing:
        raise NotFound(f"There is no map with id {', '.join(missing)}.")
    return [found[pk] for pk in ids]


def _lock(ids: Sequence[int]) -> list[TableMap]:
    return list(
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set", "version")
        .filter(pk__in=ids)
        .order_by("pk")
    )


def _refuse_forbidden(action: Action, maps: Sequence[TableMap]) -> None:
    reasons = [
        reason
        for table_map in maps
        if (reason := refusal(action, table_map.name, table_map.state))
    ]
    if not reasons:
        return
    if len(maps) == 1:
        raise ActionForbidden(reasons[0])
    raise ActionForbidden(
        f"None of the {len(maps)} maps was changed, because of {len(reasons)}.",
        reasons=reasons,
    )


def _prepare(chosen: list[TableMap], options: RunOptions) -> _Prepared:
    """Validate and install for maps that are to start; add related ones that do not
    run yet where the options say so."""
    by_set: dict[int, list[TableMap]] = defaultdict(list)
    for table_map in chosen:
        by_set[table_map.connection_set_id].append(table_map)
    prepared = _Prepared()
    for maps in by_set.values():
        connection_set = maps[0].connection_set
        starting = [m for m in maps if not is_done(Action.RUN, m.state)]
        if not starting:
            prepared.maps += maps
            continue
        around = health.look_around(connection_set)
        around.refuse_without_version(starting)
        order = {around.rows[name].pk: at for name, at in around.order().items()}
        prepared.order |= order
        if options.related:
            present = {table_map.pk for table_map in maps}
            needed = around.with_related(table_map.name for table_map in starting)
            added = [
                around.rows[name]
                for name in needed
                if around.rows[name].pk not in present | options.without
                and around.rows[name].state == MapState.NOT_RUNNING
            ]
            maps += added
            starting += added
        names = [table_map.name for table_map in starting]
        prepared.warnings += around.refuse_invalid(names)
        preparation.prepare_capture(connection_set, starting)
        prepared.maps += maps
    return prepared


def _apply(
    action: Action,
    table_map: TableMap,
    options: RunOptions,
    result: ActionResult,
    user: User | None,
) -> None:
    old, new = table_map.state, NEXT[action]
    details: dict[str, object] = {}
    if action is Action.RUN:
        clear_alert("initial_sync_failed", table_map=table_map)
        TableMap.objects.filter(pk=table_map.pk).update(ran_version=table_map.version)
        if options.copies(table_map.pk):
            _set_legs(table_map, LegMode.QUEUE)
            details["master"] = _create_run(table_map, options, result, user).master
        else:
            new = MapState.RUNNING
            _set_legs(table_map, LegMode.LIVE)
    elif action is Action.PAUSE:
        _set_legs(table_map, LegMode.QUEUE)
    elif action is Action.RESUME:
        _set_legs(table_map, LegMode.DRAIN)
    else:
        discarded = _discard(table_map)
        clear_alert(SCHEMA_CHANGED, table_map=table_map)
        result.discarded += discarded
        details["discarded_changes"] = discarded
    table_map.state = new
    table_map.state_reason = ""
    table_map.state_changed_at = timezone.now()
    table_map.paused_with_set = False
    table_map.correlation_id = result.correlation_id
    table_map.save(
        update_fields=[
            *("state", "state_reason", "state_changed_at"),
            *("run_order", "paused_with_set", "correlation_id"),
        ]
    )
    activity.record(
        f"map.{action.value}",
        _sentence(table_map, old, details),
        user=user,
        table_map=table_map,
        old_state=old,
        new_state=new,
        correlation_id=result.correlation_id,
        details=details,
    )


def _create_run(
    table_map: TableMap, options: RunOptions, result: ActionResult, user: User | None
) -> InitialSyncRun:
    return InitialSyncRun.objects.create(
        table_map=table_map,
        master=options.master_of(table_map.pk).value,
        mode=RunMode.NEW_ROWS if options.new_rows_only else RunMode.FULL,
        error_limit=options.error_limit,
        error_percent=options.error_percent,
        position=table_map.run_order,
        version=str(table_map.version or ""),
        requested_by=user,
        correlation_id=result.correlation_id,
    )


def _sentence(table_map: TableMap, old: str, details: dict[str, object]) -> str:
    text = (
        f"{table_map.name}: {MapState(old).label} to {MapState(table_map.state).label}"
    )
    if details.get("discarded_changes"):
        text += f", {details['discarded_changes']} queued changes thrown away"
    if "master" in details:
        text += f", {SIDES[str(details['master'])]} wins where both have a record"
    return text + "."


def _set_legs(table_map: TableMap, mode: LegMode) -> None:
    """Give the flowing directions `mode`; a leg that starts anew forgets the queue of
    its former life, one that goes on keeps what says where its queue ends."""
    definition = preparation.definition(table_map)
    for direction in Direction:
        flows = definition.flows(direction)
        values: dict[str, object] = {
            "mode": (mode if flows else LegMode.OFF).value,
            "fold": False,
            "drain_after": "",
        }
        if table_map.state == MapState.NOT_RUNNING:
            values |= _FORGOTTEN
        Leg.objects.update_or_create(
            table_map=table_map, direction=direction.value, scope=0, defaults=values
        )
    # Legs of companies that joined follow; those still being copied go on queueing.
    copying = InitialSyncRun.objects.filter(
        table_map=table_map, state__in=UNCOPIED_STATES
    )
    table_map.legs.filter(scope__gt=0).exclude(mode=LegMode.OFF.value).exclude(
        scope__in=copying.values("pk")
    ).update(mode=mode.value)


def _discard(table_map: TableMap) -> int:
    table_map.legs.filter(scope__gt=0).delete()
    table_map.legs.update(
        mode=LegMode.OFF.value, drain_after="", fold=False, **_FORGOTTEN
    )
    InitialSyncRun.objects.filter(
        table_map=table_map, state__in=ACTIVE_RUN_STATES
    ).update(
        state=RunState.CANCELLED,
        message="Stopped by an administrator.",
        finished_at=timezone.now(),
    )
    deleted, _ = QueuedChange.objects.filter(table_map=table_map).delete()
    aside, _ = SetAsideChange.objects.filter(table_map=table_map).delete()
    return deleted + aside
