"""Everything that is known to have happened to a record, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.urls import reverse

from portal.comparisons.models import Comparison, FoundDifference
from portal.environments.models import ConnectionSet
from portal.errors import queries as error_queries
from portal.errors.models import Conflict, ErrorState, SyncError
from portal.history import keeping
from portal.history.keys import fits, hashes, normal, spellings
from portal.history.models import CarriedChange, HistoryGap
from portal.labels import PHASES, POLICIES, SIDES
from portal.maps.models import TableMap
from portal.runs.models import LegRun
from portal.sync.models import QueuedChange

MOST = 500
"""Of each kind, the newest so many are shown."""

SPELLINGS = 4
"""So many spellings of a key are looked for among the errors."""

COMPARISONS = 50
"""The differences of so many newest repairs of a map are looked at."""


@dataclass(frozen=True)
class Changed:
    """A column with its values before and after; `had` is false where nothing is known
    of the value before."""

    column: str
    before: str | None
    after: str | None
    had: bool = True


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind` is carried, error, retry, closed, conflict,
    repair, copy, waiting or gap."""

    at: datetime
    map_id: int
    map_name: str
    direction: str
    kind: str
    message: str
    version: str = ""
    transaction: str = ""
    link: str = ""
    key: str = ""
    columns: Sequence[Changed] = ()


@dataclass(frozen=True)
class Timeline:
    """The events, newest first; the maps and keys of the record on either side; since
    when the history is kept at all, and which maps keep none."""

    text: str
    events: Sequence[Event] = ()
    maps: Sequence[TableMap] = ()
    keys: Sequence[str] = ()
    since: date | None = None
    without: Sequence[TableMap] = field(default=())


def timeline(
    text: str, *, table_map: TableMap | None = None, user: Any = None
) -> Timeline:
    """What is known of the record with this key on either side, in any map or the
    one. The company may be left out; capitals do not matter."""
    wanted = normal(text)
    visible = TableMap.objects.visible_to(user)
    chosen = visible.select_related("connection_set").order_by("name")
    if table_map is not None:
        chosen = chosen.filter(pk=table_map.pk)
    maps = {one.pk: one for one in chosen}
    since = keeping.kept_since()
    if not wanted:
        return Timeline(wanted, since=since, without=_without(maps.values()))
    carried = _carried(wanted, maps)
    keys = dict.fromkeys(
        key for one in carried for key in (one.source_key, one.target_key)
    )
    exact = _exact(wanted, keys)
    events = [_event(one, maps) for one in carried]
    for found in (
        _errors(wanted, keys, maps),
        _conflicts(exact, maps),
        _waiting(exact, maps),
        _repairs(exact, maps),
    ):
        events += found[0]
        keys |= dict.fromkeys(found[1])
    met = {one.map_id for one in events}
    events += _copies(met, maps, keys) + _gaps(met, maps)
    events.sort(key=lambda one: one.at, reverse=True)
    return Timeline(
        wanted,
        events[:MOST],
        [maps[pk] for pk in maps if pk in met],
        list(keys),
        since,
        _without(maps[pk] for pk in met),
    )


def changes_of(text: str, table_map: TableMap) -> list[CarriedChange]:
    """What was carried of a record of one map, newest first."""
    return _carried(text.strip(), {table_map.pk: table_map})


Found = tuple[list[Event], list[str]]


def _without(maps: Iterable[TableMap]) -> list[TableMap]:
    return [one for one in maps if not one.history]


def _exact(text: str, keys: Iterable[str]) -> list[str]:
    """The key as it may be written elsewhere: with each linked company before it."""
    companies: set[str] = set()
    for one in ConnectionSet.objects.all():
        for pair in one.legal_entity_pairs():
            companies |= {pair.finops, pair.dataverse}
    known = [*spellings(text), *keys]
    return list(
        dict.fromkeys([*known, *(f"{one} / {text}" for one in sorted(companies))])
    )


def _carried(text: str, maps: dict[int, TableMap]) -> list[CarriedChange]:
    wanted = hashes(text)
    found: dict[int, CarriedChange] = {}
    for column in ("key_hash__in", "other_hash__in"):
        rows = CarriedChange.objects.filter(**{column: wanted}, map_id__in=list(maps))
        found |= {one.pk: one for one in rows.order_by("-at", "-id")[: MOST * 2]}
    fitting = [
        one
        for one in found.values()
        if fits(text, one.source_key) or fits(text, one.target_key)
    ]
    return sorted(fitting, key=lambda one: (one.at, one.pk), reverse=True)[:MOST]


WORDS = {"inserted": "added", "updated": "changed", "deleted": "deleted"}


def _event(one: CarriedChange, maps: dict[int, TableMap]) -> Event:
    source, _, target = one.direction.partition("_to_")
    what = WORDS.get(one.kind, one.kind)
    several = f" ({one.changes} changes in one)" if one.changes > 1 else ""
    how = "" if one.phase == "live" else f", {PHASES.get(one.phase, one.phase).lower()}"
    return Event(
        at=one.at,
        map_id=one.map_id,
        map_name=maps[one.map_id].name,
        direction=one.direction,
        kind="carried",
        message=f"{SIDES[target]}: {what} from {SIDES[source]}{several}{how}.",
        version=one.version,
        transaction=one.transaction_id,
        key=one.source_key,
        columns=columns_of(one),
    )


def columns_of(one: CarriedChange) -> list[Changed]:
    """The columns of the target that were written."""
    before: dict[str, Any] = json.loads(one.before)
    after: dict[str, Any] = json.loads(one.after)
    names = after or before
    return [
        Changed(name, before.get(name), after.get(name), name in before)
        for name in names
    ]


def _errors(text: str, known: Iterable[str], maps: dict[int, TableMap]) -> Found:
    """By the text and by the keys that are known; a key that contains a text which is
    looked for already is found with it."""
    texts: list[str] = []
    for one in (text, *known):
        if not any(part.casefold() in one.casefold() for part in texts):
            texts.append(one)
    found: dict[int, SyncError] = {}
    for one in texts[:SPELLINGS]:
        if len(one) < error_queries.TRIGRAM:
            continue
        filters = error_queries.ErrorFilter(state="all", key=one)
        rows = error_queries.matching(filters).order_by("-id")
        found |= {
            error.pk: error
            for error in rows.defer("source_row", "mapped_row", "remote")[:MOST]
            if error.table_map_id in maps and fits(one, error.key_text)
        }
    events: list[Event] = []
    for error in found.values():
        events += _of_error(error, maps[error.table_map_id])
    return events, [error.key_text for error in found.values()]


CLOSED = {
    ErrorState.RESOLVED: "A retry succeeded.",
    ErrorState.SUPERSEDED: "A later change went through.",
}


def _of_error(error: SyncError, table_map: TableMap) -> list[Event]:
    common: dict[str, Any] = {
        "map_id": table_map.pk,
        "map_name": table_map.name,
        "direction": error.direction,
        "link": reverse("error_page", args=[error.pk]),
        "key": error.key_text,
    }
    events = [Event(at=error.first_seen, kind="error", message=error.message, **common)]
    if error.last_seen > error.first_seen:
        tries = f", retried {error.attempts} times by itself" if error.attempts else ""
        events.append(
            Event(
                at=error.last_seen,
                kind="retry",
                message=f"Failed again: {error.count} times so far{tries}.",
                **common,
            )
        )
    if error.closed_at is not None:
        said = CLOSED.get(ErrorState(error.state), "")
        if error.state == ErrorState.DISMISSED:
            said = f"Dismissed: {error.dismiss_reason or 'no reason was given'}"
            said = said.rstrip(".") + "."
        events.append(Event(at=error.closed_at, kind="closed", message=said, **common))
    return events


def _conflicts(exact: Sequence[str], maps: dict[int, TableMap]) -> Found:
    rows = Conflict.objects.filter(
        table_map__in=list(maps), key_text__in=exact
    ).select_related("decided_by")
    events: list[Event] = []
    keys: list[str] = []
    for one in rows.defer("finops_row", "dataverse_row").order_by("-id")[:MOST]:
        keys.append(one.key_text)
        common: dict[str, Any] = {
            "map_id": one.table_map_id,
            "map_name": maps[one.table_map_id].name,
            "direction": one.direction,
            "kind": "conflict",
            "link": reverse("conflict_page", args=[one.pk]),
            "key": one.key_text,
        }
        what = f"Both sides changed {one.column}" if one.column else "Both changed it"
        winner = SIDES.get(one.winner)
        events.append(
            Event(
                at=one.created_at,
                message=f"{what}: {winner}'s version was taken "
                f"({POLICIES.get(one.policy, one.policy)}). {one.reason}".strip()
                if winner
                else f"{what}: a person has to decide.",
                columns=[Changed(one.column, one.source_value, one.target_value)]
                if one.column
                else (),
                **common,
            )
        )
        if one.decided_at is not None:
            who = one.decided_by.get_username() if one.decided_by else "Somebody"
            events.append(
                Event(
                    at=one.decided_at,
                    message=f"{who} chose {SIDES.get(one.side, one.side)}'s version.",
                    **common,
                )
            )
    return events, keys


def _waiting(exact: Sequence[str], maps: dict[int, TableMap]) -> Found:
    rows = QueuedChange.objects.filter(table_map__in=list(maps), key_text__in=exact)
    events = [
        Event(
            at=one.committed_at,
            map_id=one.table_map_id,
            map_name=maps[one.table_map_id].name,
            direction=one.direction,
            kind="waiting",
            message=f"Changed on {SIDES[one.direction.partition('_to_')[0]]} "
            f"({one.kind}); waits in the queue.",
            transaction=one.transaction_id,
            key=one.key_text,
        )
        for one in rows.order_by("-id")[:MOST]
    ]
    return events, [one.key for one in events]


def _repairs(exact: Sequence[str], maps: dict[int, TableMap]) -> Found:
    events: list[Event] = []
    keys: list[str] = []
    repairs = Comparison.objects.filter(table_map__in=list(maps)).exclude(winner="")
    ids = list(repairs.order_by("-id").values_list("pk", flat=True)[:COMPARISONS])
    rows = FoundDifference.objects.filter(
        comparison__in=ids, key_text__in=exact
    ).select_related("comparison__requested_by")
    for one in rows.prefetch_related("columns"):
        repair = one.comparison
        keys.append(one.key_text)
        who = repair.requested_by.get_username() if repair.requested_by else "dw"
        done = f"not repaired: {one.failure}" if one.failure else "repaired"
        events.append(
            Event(
                at=repair.finished_at or repair.started_at or repair.created_at,
                map_id=repair.table_map_id,
                map_name=maps[repair.table_map_id].name,
                direction=_from(repair.winner),
                kind="repair",
                message=f"Both sides differed; {done} with {SIDES[repair.winner]}'s "
                f"version, asked for by {who}.",
                link=reverse("comparison_page", args=[repair.pk]),
                key=one.key_text,
                columns=[
                    Changed(column.column, column.finops, column.dataverse)
                    for column in one.columns.all()
                ],
            )
        )
    return events, keys


def _from(side: str) -> str:
    return "finops_to_dataverse" if side == "finops" else "dataverse_to_finops"


def _copies(
    met: set[int], maps: dict[int, TableMap], keys: Iterable[str]
) -> list[Event]:
    """Initial syncs of the maps, of all companies or one of the record's."""
    companies = {key.partition(" / ")[0].casefold() for key in keys}
    legs = (
        LegRun.objects.filter(run__table_map__in=list(met), finished_at__isnull=False)
        .select_related("run")
        .order_by("-id")[:MOST]
    )
    return [
        Event(
            at=leg.finished_at,
            map_id=leg.run.table_map_id,
            map_name=maps[leg.run.table_map_id].name,
            direction=leg.direction,
            kind="copy",
            message=f"Initial sync {leg.run_id} went over all records"
            + (f" of {leg.legal_entity}" if leg.legal_entity else "")
            + f": {leg.inserted:,} added, {leg.updated:,} changed, "
            f"{leg.unchanged:,} equal already, {leg.failed:,} failed.",
            link=reverse("run_page", args=[leg.run_id]),
            version=leg.run.version,
        )
        for leg in legs
        if leg.finished_at is not None
        and (not leg.legal_entity or leg.legal_entity.casefold() in companies)
    ]


def _gaps(met: set[int], maps: dict[int, TableMap]) -> list[Event]:
    rows = HistoryGap.objects.filter(map_id__in=list(met)).order_by("-id")[:MOST]
    return [
        Event(
            at=one.ended_at,
            map_id=one.map_id,
            map_name=maps[one.map_id].name,
            direction=one.direction,
            kind="gap",
            message=f"{one.records:,} records of this map were carried over since "
            f"{one.began_at:%H:%M:%S} without being kept in the history; this one may "
            "be among them.",
        )
        for one in rows
    ]


def document(found: Timeline) -> dict[str, Any]:
    """The document of `dw record --json`."""
    return {
        "key": found.text,
        "keys": list(found.keys),
        "history_since": found.since,
        "maps": [one.name for one in found.maps],
        "events": [
            {
                "at": one.at,
                "map": one.map_name,
                "direction": one.direction,
                "kind": one.kind,
                "message": one.message,
                "version": one.version,
                "transaction": one.transaction,
                "key": one.key,
                "columns": [
                    {"column": c.column, "before": c.before, "after": c.after}
                    for c in one.columns
                ],
            }
            for one in found.events
        ],
    }
