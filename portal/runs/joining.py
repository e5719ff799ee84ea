"""Companies that join connection sets whose maps run, and companies that leave.

Each map that runs copies the rows of the new companies in a run of its own. Until they
are there, the streams carry these companies on legs of their own (`Leg.scope` is the
run's id), which queue, drain and go live while the other companies go on. At the end
the map's ordinary legs take them over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from portal.activity import services as activity
from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Stream
from portal.maps import services as maps
from portal.maps.models import Leg, MapState, TableMap
from portal.runs import scopes
from portal.runs.models import ACTIVE_RUN_STATES, InitialSyncRun, RunState
from portal.runs.services import cancel_run
from syncengine.mapping.model import Direction, LegalEntityPair, Side
from syncengine.ports import LegMode

if TYPE_CHECKING:
    from portal.accounts.models import User

SETTLED_AFTER = timedelta(seconds=30)
"""Legs of companies that joined are kept so long: by then the streams have stored a
position behind everything that was queued."""


@dataclass
class CompaniesChange:
    """What became of the companies of a connection set. `joining` maps copy the rows
    of the added ones."""

    added: list[LegalEntityPair] = field(default_factory=list)
    removed: list[LegalEntityPair] = field(default_factory=list)
    joining: list[TableMap] = field(default_factory=list)
    correlation_id: str = ""


@transaction.atomic
def set_companies(
    connection_set: ConnectionSet,
    pairs: Sequence[LegalEntityPair],
    *,
    master: Side | str | None = None,
    user: User | None = None,
) -> CompaniesChange:
    """Make these the linked companies, while maps run or not.

    Maps that run copy the rows of added companies, both ways, and take their changes
    from then on; `master` wins where both sides have a record (usually as in the
    map's last initial sync). Other companies are not held up. Of removed companies
    nothing is carried over any more; their records stay. Refused while a map copies
    as a whole.
    """
    before = connection_set.legal_entity_pairs()
    if not environments.set_legal_entities(connection_set, pairs, user=user):
        return CompaniesChange()
    after = connection_set.legal_entity_pairs()
    change = CompaniesChange(
        added=[pair for pair in after if pair not in before],
        removed=[pair for pair in before if pair not in after],
        correlation_id=activity.new_correlation_id(),
    )
    _leave(connection_set, [pair.finops for pair in change.removed])
    if change.added:
        codes = sorted(pair.finops for pair in change.added)
        change.joining = _join(connection_set, codes, master, user, change)
    return change


def _leave(connection_set: ConnectionSet, codes: Sequence[str]) -> None:
    """Runs that copy nothing but companies that left end."""
    gone = set(codes)
    runs = InitialSyncRun.objects.filter(
        table_map__connection_set=connection_set, state__in=ACTIVE_RUN_STATES
    ).exclude(legal_entities=[])
    for run in runs:
        if gone.issuperset(run.legal_entities):
            cancel_run(run)
    for leg in Leg.objects.filter(
        table_map__connection_set=connection_set, scope__gt=0
    ):
        if gone.issuperset(leg.companies):
            scopes.take_away(leg.table_map_id, leg.scope)


def _join(
    connection_set: ConnectionSet,
    codes: list[str],
    master: Side | str | None,
    user: User | None,
    change: CompaniesChange,
) -> list[TableMap]:
    running = list(
        TableMap.objects.filter(connection_set=connection_set)
        .exclude(state=MapState.NOT_RUNNING)
        .exclude(version=None)
        .order_by("run_order", "pk")
    )
    masters = _masters(running)
    InitialSyncRun.objects.bulk_create(
        InitialSyncRun(
            table_map=table_map,
            legal_entities=codes,
            master=Side(master or masters.get(table_map.pk, maps.DEFAULT_MASTER)).value,
            position=table_map.run_order,
            version=str(table_map.version or ""),
            requested_by=user,
            correlation_id=change.correlation_id,
        )
        for table_map in running
    )
    return running


def _masters(table_maps: Sequence[TableMap]) -> Mapping[int, str]:
    """Who won in each map's last initial sync."""
    return dict(
        InitialSyncRun.objects.filter(table_map__in=table_maps)
        .order_by("table_map", "-pk")
        .distinct("table_map")
        .values_list("table_map", "master")
    )


def settle(now: datetime) -> int:
    """Let the ordinary legs of maps take over companies that joined a while ago; gives
    the number of runs whose legs are no more needed."""
    runs = (
        InitialSyncRun.objects.filter(
            state=RunState.COMPLETED,
            finished_at__lte=now - SETTLED_AFTER,
            table_map__legs__scope__gt=0,
        )
        .exclude(legal_entities=[])
        .select_related("table_map")
        .distinct()
    )
    return sum(_settled(run) for run in runs)


@transaction.atomic
def _settled(run: InitialSyncRun) -> bool:
    legs = list(Leg.objects.select_for_update().filter(scope=run.pk))
    if not legs or any(leg.mode != LegMode.LIVE.value for leg in legs):
        return False
    for leg in legs:
        passed = Stream.objects.filter(
            Q(position__gte=leg.queued_through),
            connection_set_id=run.table_map.connection_set_id,
            source=Direction(leg.direction).source.value,
        )
        if not passed.exists():
            return False
    Leg.objects.filter(pk__in=[leg.pk for leg in legs]).delete()
    maps.bump_revision([run.table_map.connection_set_id])
    return True
