"""The engine's Control on the portal's database: which leg does what."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.services import SCHEMA_CHANGED, clear_alert, raise_alert
from portal.approvals import services as approvals
from portal.conflicts.loops import pause_loop
from portal.environments.models import ConnectionSet, Stream
from portal.errors.waking import wake_waiting
from portal.maps.conversion import all_to_engine
from portal.maps.models import Leg, MapState, TableMap
from portal.runs.models import InitialSyncRun, RunState
from portal.runs.scopes import companies_elsewhere
from portal.runs.services import complete_run
from portal.sync import spooling
from portal.sync.models import QueuedChange, SetAsideChange
from syncengine.mapping.model import Direction, LegalEntityPair
from syncengine.mapping.model import TableMap as Definition
from syncengine.ports import (
    GuardRule,
    LegConfiguration,
    LegMode,
    LogBudget,
    LoopFound,
    MassChange,
    StreamConfiguration,
)


class PortalControl:
    """The Control of one stream."""

    def __init__(self, connection_set: ConnectionSet, stream: Stream) -> None:
        self._set_id = connection_set.pk
        self._stream_id = stream.pk
        self._stream = stream
        self._direction = next(d for d in Direction if d.source.value == stream.source)

    def revision(self) -> int:
        """The newest revision of the configuration."""
        return ConnectionSet.objects.values_list("revision", flat=True).get(
            pk=self._set_id
        )

    def configuration(self) -> StreamConfiguration:
        """All legs of the connection set, as of one revision.

        The revision is read first: a change that slips in between raises it again.
        """
        connection_set = ConnectionSet.objects.get(pk=self._set_id)
        stored = list(
            Leg.objects.filter(
                table_map__connection_set_id=self._set_id,
                table_map__version__isnull=False,
            )
            .exclude(mode=LegMode.OFF.value)
            .select_related("table_map__version__table_map")
            .order_by("pk")
        )
        definitions = all_to_engine(
            [leg.table_map.version for leg in stored if leg.table_map.version]
        )
        elsewhere = companies_elsewhere(self._set_id)
        pairs = connection_set.legal_entity_pairs()
        legs = [
            self._leg(leg, definition, pairs, elsewhere.get(leg.table_map_id, ()))
            for leg, definition in zip(stored, definitions, strict=True)
        ]
        return StreamConfiguration(
            revision=connection_set.revision,
            legs=tuple(leg for leg in legs if leg.direction is self._direction),
            reverse_legs=tuple(
                leg for leg in legs if leg.direction is not self._direction
            ),
            legal_entities=pairs,
        )

    def _leg(
        self,
        leg: Leg,
        definition: Definition,
        pairs: Sequence[LegalEntityPair],
        elsewhere: Collection[str],
    ) -> LegConfiguration:
        companies: tuple[str, ...] | None = None
        if leg.scope:
            companies = tuple(leg.companies)
        elif elsewhere:
            companies = tuple(p.finops for p in pairs if p.finops not in elsewhere)
        return LegConfiguration(
            leg_id=leg.pk,
            map_id=leg.table_map_id,
            direction=Direction(leg.direction),
            mode=LegMode(leg.mode),
            table_map=definition,
            queued_through=leg.queued_through,
            drain_after=leg.drain_after,
            fold=leg.fold,
            scope=leg.scope,
            companies=companies,
            set_aside=leg.set_aside,
            replay=leg.replay,
            guard=_guard(leg.table_map),
            approved_through=leg.approved_through,
            history=leg.table_map.history and settings.HISTORY_CHANGES_PER_SECOND > 0,
        )

    def acknowledge(self, revision: int, position: str) -> None:
        """From `position` on the stream behaves as `revision` says."""
        Stream.objects.filter(pk=self._stream_id).update(
            acknowledged_revision=revision, acknowledged_position=position
        )

    @transaction.atomic
    def drained(self, leg: LegConfiguration) -> bool:
        """Turn the leg live, and its map Running once all legs are."""
        table_map = _lock_map(leg.map_id)
        present = (
            Leg.objects.select_for_update()
            .filter(pk=leg.leg_id, mode=LegMode.DRAIN.value)
            .first()
        )
        waiting = QueuedChange.objects.filter(
            table_map_id=leg.map_id, direction=leg.direction.value, scope=leg.scope
        )
        if present is None or waiting.exists():
            return False
        Leg.objects.filter(pk=leg.leg_id).update(
            mode=LegMode.LIVE.value, fold=False, drain_after=""
        )
        others = table_map.legs.filter(scope=leg.scope).exclude(
            mode__in=(LegMode.LIVE.value, LegMode.OFF.value)
        )
        if not others.exists():
            if leg.scope:
                _joined(leg.scope)
            else:
                self._running(table_map)
        _bump(self._set_id)
        return True

    def _running(self, table_map: TableMap) -> None:
        old = table_map.state
        run = InitialSyncRun.objects.filter(
            table_map=table_map, state=RunState.DRAINING, legal_entities=[]
        ).first()
        if run is not None:
            complete_run(run)
            wake_waiting(self._set_id)
        if old not in (MapState.INITIALIZING, MapState.RESUMING):
            return
        clear_alert(SCHEMA_CHANGED, table_map=table_map)
        table_map.state = MapState.RUNNING
        table_map.state_reason = ""
        table_map.state_changed_at = timezone.now()
        table_map.save(update_fields=["state", "state_reason", "state_changed_at"])
        activity.record(
            "map.running",
            f"{table_map.name}: {MapState(old).label} to Running.",
            table_map=table_map,
            old_state=old,
            new_state=MapState.RUNNING,
            correlation_id=(
                run.correlation_id if run is not None else table_map.correlation_id
            ),
        )

    def loop_found(self, loop: LoopFound) -> None:
        """Pause the maps whose rules undo each other, and tell people."""
        pause_loop(loop)

    def hold(self, leg: LegConfiguration, wave: MassChange) -> None:
        """Queue the leg's changes until somebody decides on the wave."""
        approvals.hold(leg, wave)

    @transaction.atomic
    def schema_broken(self, leg: LegConfiguration, code: str, message: str) -> None:
        """The leg's tables no longer fit the map: queue its changes until they do."""
        table_map = _lock_map(leg.map_id)
        table_map.legs.filter(mode=LegMode.LIVE.value).update(
            mode=LegMode.DRAIN.value, fold=False, drain_after=""
        )
        table_map.state_reason = f"{code}: {message}"
        if table_map.state == MapState.RUNNING:
            table_map.state = MapState.RESUMING
            table_map.state_changed_at = timezone.now()
            activity.record(
                "map.schema_changed",
                f"{table_map.name}: {message} Its changes are queued and carried over "
                "by themselves when the table fits again.",
                table_map=table_map,
                old_state=MapState.RUNNING,
                new_state=MapState.RESUMING,
                details={"code": code},
            )
        raise_alert(
            SCHEMA_CHANGED,
            f"{table_map.name} waits for its tables: {message}",
            table_map=table_map,
            severity="error",
            code=code,
        )
        table_map.save(update_fields=["state", "state_reason", "state_changed_at"])
        _bump(self._set_id)

    @transaction.atomic
    def replayed(self, leg: LegConfiguration) -> None:
        """Nothing of the leg is set aside any more."""
        present = Leg.objects.select_for_update().filter(pk=leg.leg_id).first()
        left = SetAsideChange.objects.filter(
            table_map_id=leg.map_id, direction=leg.direction.value
        )
        if present is None or left.exists():
            return
        Leg.objects.filter(pk=leg.leg_id).update(set_aside=False, replay=False)
        _bump(self._set_id)
        activity.record(
            "map.replayed",
            f"{present.table_map.name}: all changes that were set aside are carried "
            "over.",
            table_map=present.table_map,
            details={"direction": leg.direction.value},
        )

    def budget(self) -> LogBudget:
        """What the source's log may cost."""
        row = ConnectionSet.objects.values_list(
            "spool_after_seconds", "spool_bytes", "log_limit_bytes"
        ).get(pk=self._set_id)
        return LogBudget(float(row[0]), row[1], row[2])

    def confirming(self, position: str) -> None:
        """From now on the source may be told to forget everything up to here."""
        Stream.objects.filter(pk=self._stream_id).update(confirmed_position=position)

    def confirmed(self) -> str:
        """The furthest position of `confirming`."""
        return Stream.objects.values_list("confirmed_position", flat=True).get(
            pk=self._stream_id
        )

    def spool(self, reason: str) -> None:
        """The target does not answer: live legs queue from now on."""
        spooling.spool(self._stream, self._direction, reason)

    def unspool(self, position: str) -> None:
        """The target is back: forget what was spooled and is there already."""
        spooling.unspool(self._stream, self._direction, position)

    def gap(self, reason: str) -> None:
        """Changes were lost to the stream: its maps must be compared."""
        spooling.gap(self._stream, self._direction, reason)

    def truncated(self, tables: Sequence[str]) -> None:
        """Tables were emptied: their maps must be compared."""
        spooling.truncated(self._stream, self._direction, tables)


def _joined(scope: int) -> None:
    """All legs of a scope are live: its companies have joined their map."""
    run = InitialSyncRun.objects.filter(pk=scope).first()
    if run is not None:
        complete_run(run)


def _guard(table_map: TableMap) -> GuardRule | None:
    if not table_map.guard_enabled:
        return None
    return GuardRule(
        table_map.guard_deletes_percent,
        table_map.guard_updates_percent,
        table_map.guard_rows,
        table_map.guard_window_seconds,
    )


def _lock_map(map_id: int) -> TableMap:
    return (
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set")
        .get(pk=map_id)
    )


def _bump(connection_set_id: int) -> None:
    ConnectionSet.objects.filter(pk=connection_set_id).update(
        revision=F("revision") + 1
    )
