"""Companies whose copy broke off: copied again, or taken live without their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet

from portal.activity import services as activity
from portal.alerts.services import clear_alert
from portal.environments.models import ConnectionSet
from portal.maps import services as maps
from portal.maps.models import Leg, TableMap
from portal.refusals import ActionForbidden
from portal.runs import scopes
from portal.runs.joining import CompaniesChange
from portal.runs.models import ACTIVE_RUN_STATES, InitialSyncRun
from portal.runs.services import ALERT
from syncengine.mapping.model import LegalEntityPair, Side
from syncengine.ports import LegMode

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class Standing:
    """A linked company: the maps that copy its rows now, and those whose copy of them
    broke off, which therefore carry over nothing of it."""

    pair: LegalEntityPair
    joining: Sequence[TableMap] = ()
    left_out: Sequence[TableMap] = ()


def standing(connection_set: ConnectionSet) -> list[Standing]:
    """The linked companies and how they stand in the set's maps."""
    copying: dict[str, list[TableMap]] = defaultdict(list)
    for run in _active_joins(connection_set).select_related("table_map"):
        for code in run.legal_entities:
            copying[code].append(run.table_map)
    out: dict[str, list[TableMap]] = defaultdict(list)
    for run, leg in _broken_off(connection_set):
        for code in leg.companies:
            if run.table_map not in out[code]:
                out[code].append(run.table_map)
    return [
        Standing(pair, copying[pair.finops], out[pair.finops])
        for pair in connection_set.legal_entity_pairs()
    ]


def _active_joins(connection_set: ConnectionSet) -> QuerySet[InitialSyncRun]:
    return InitialSyncRun.objects.filter(
        table_map__connection_set=connection_set, state__in=ACTIVE_RUN_STATES
    ).exclude(legal_entities=[])


def _broken_off(connection_set: ConnectionSet) -> list[tuple[InitialSyncRun, Leg]]:
    """Runs whose companies are left out of their map, with the legs that say so."""
    legs = Leg.objects.filter(
        table_map__connection_set=connection_set,
        scope__gt=0,
        mode=LegMode.OFF.value,
    )
    runs = InitialSyncRun.objects.select_related("table_map__connection_set").in_bulk(
        [leg.scope for leg in legs]
    )
    return [(runs[leg.scope], leg) for leg in legs if leg.scope in runs]


@transaction.atomic
def skip(run: InitialSyncRun, *, user: User | None = None) -> None:
    """Take the companies of a run that broke off live, without copying their rows.
    Refused where they take part already, or are being copied."""
    refuse_unless_broken_off(run)
    scopes.take_away(run.table_map_id, run.pk)
    maps.bump_revision([run.table_map.connection_set_id])
    clear_alert(ALERT, table_map=run.table_map, about=run.companies)
    activity.record(
        "run.skipped",
        f"{run.table_map.name}: changes of {run.companies} are carried over from now "
        "on; their rows were not copied.",
        user=user,
        table_map=run.table_map,
        correlation_id=run.correlation_id,
    )


@transaction.atomic
def again(
    run: InitialSyncRun,
    *,
    master: Side | str | None = None,
    user: User | None = None,
    correlation_id: str = "",
) -> InitialSyncRun:
    """Copy the rows of the companies of a run that broke off once more."""
    refuse_unless_broken_off(run)
    made = InitialSyncRun.objects.create(
        table_map=run.table_map,
        legal_entities=run.legal_entities,
        master=Side(master or run.master).value,
        position=run.table_map.run_order,
        version=str(run.table_map.version or ""),
        requested_by=user,
        correlation_id=correlation_id or activity.new_correlation_id(),
    )
    activity.record(
        "run.repeated",
        f"{run.table_map.name}: the rows of {run.companies} are copied again.",
        user=user,
        table_map=run.table_map,
        correlation_id=made.correlation_id,
    )
    return made


def broken_off(runs: Sequence[InitialSyncRun]) -> set[int]:
    """Those of the runs, by id, whose companies are left out of their map."""
    over = [run for run in runs if run.joins and run.state not in ACTIVE_RUN_STATES]
    if not over:
        return set()
    legs = Leg.objects.filter(
        scope__in=[run.pk for run in over], mode=LegMode.OFF.value
    )
    anew = {
        (map_id, tuple(codes))
        for map_id, codes in InitialSyncRun.objects.filter(
            table_map__in=[run.table_map_id for run in over],
            state__in=ACTIVE_RUN_STATES,
        ).values_list("table_map", "legal_entities")
    }
    left_out = set(legs.values_list("scope", flat=True))
    return {
        run.pk
        for run in over
        if run.pk in left_out
        and (run.table_map_id, tuple(run.legal_entities)) not in anew
    }


def refuse_unless_broken_off(run: InitialSyncRun) -> None:
    """Raise ActionForbidden where there is nothing to repeat or to skip."""
    if not broken_off([run]):
        raise ActionForbidden(
            f"No copy of {run.companies or 'companies'} has broken off in "
            f"{run.table_map.name}: there is nothing to repeat or to skip."
        )


def skip_companies(
    connection_set: ConnectionSet, codes: Sequence[str], *, user: User | None = None
) -> None:
    """`skip` for each map that one of these companies is left out of."""
    for run in _left_out(connection_set, codes):
        skip(run, user=user)


def join_again(
    connection_set: ConnectionSet,
    codes: Sequence[str],
    *,
    master: Side | str | None = None,
    user: User | None = None,
) -> CompaniesChange:
    """`again` for each map that one of these companies is left out of."""
    change = CompaniesChange(correlation_id=activity.new_correlation_id())
    for run in _left_out(connection_set, codes):
        again(run, master=master, user=user, correlation_id=change.correlation_id)
        change.joining.append(run.table_map)
    return change


def _left_out(
    connection_set: ConnectionSet, codes: Sequence[str]
) -> list[InitialSyncRun]:
    found = {
        run.pk: run
        for run, leg in _broken_off(connection_set)
        if set(codes).intersection(leg.companies)
    }
    if not found:
        raise ActionForbidden(
            f"{connection_set.name}: the rows of {', '.join(codes)} are copied in "
            "every map that runs, or being copied."
        )
    return list(found.values())
