"""For every field of a record: what gave it its present value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.accounts.scope import scope_of
from portal.errors.models import Conflict
from portal.history.copied import Copy, last_copy, sentence, ways_of
from portal.history.keys import fits
from portal.history.models import CarriedChange, HistoryGap
from portal.history.timeline import changes_of, columns_of
from portal.labels import SIDES
from portal.maps.models import TableMap
from portal.maps.preparation import definition
from portal.refusals import Refusal
from portal.runs.legs import with_legs
from portal.runs.preview import preview_map
from syncengine.errors import EngineError
from syncengine.mapping.model import ColumnMap, Direction, Side
from syncengine.preview import PreviewRecord, Rule

UNKNOWN = "unknown: no change of it is kept, and no initial sync went over it"


@dataclass(frozen=True)
class Origin:
    """Why a field holds what it holds. `side` is where the value was made: empty when
    that is not known. `rule` is how the map makes it on the way, where it was
    carried."""

    sentence: str
    side: str = ""
    at: datetime | None = None
    version: str = ""
    rule: str = ""
    known: bool = True


@dataclass(frozen=True)
class Field:
    """One line of the map: both columns, what they hold, and where that is from."""

    finops: str
    dataverse: str
    values: Mapping[str, str | None]
    origins: Mapping[str, Origin]


@dataclass(frozen=True)
class Fields:
    """The fields of a record of one map; `trouble` says why they could not be read."""

    table_map: TableMap
    key: str
    fields: Sequence[Field] = ()
    trouble: str = ""


@dataclass(frozen=True)
class _Write:
    """The last write of a column that is known."""

    change: CarriedChange
    value: str | None


def fields(table_map: TableMap, key: str, *, user: Any = None) -> Fields:
    """Read the record on both sides and say of each field where it is from. A record
    of a company beyond the limits of `user` is as good as none."""
    table_map = with_legs(table_map.pk)
    changes = changes_of(key, table_map)
    records: dict[Direction, PreviewRecord] = {}
    trouble = ""
    for way in Direction:
        if not definition(table_map).flows(way):
            continue
        try:
            shown = preview_map(table_map, _spelled(key, changes, way), direction=way)
        except (Refusal, EngineError) as caught:
            trouble = trouble or caught.message
            continue
        seen = [
            one for one in shown.records[way.value] if _is_seen(table_map, one, user)
        ]
        if seen:
            records[way] = seen[0]
    if not records:
        return Fields(table_map, key, trouble=trouble or "No side has this record.")
    gap = HistoryGap.objects.filter(map_id=table_map.pk).order_by("-ended_at").first()
    settled = _settled(table_map, key)
    companies = {record.key[0] for record in records.values() if record.key}
    copy = last_copy(table_map, companies)
    lines = [
        _field(line, records, changes, settled, gap, copy)
        for line in definition(table_map).columns
        if line.finops or line.dataverse
    ]
    return Fields(table_map, key, lines)


def _is_seen(table_map: TableMap, record: PreviewRecord, user: Any) -> bool:
    """The company of a record is the first part of its key, where it has one; a key
    that was asked for without it may be found in any."""
    scope = scope_of(user)
    if scope.everything or not record.key:
        return True
    has_company = any(column.rule is Rule.COMPANY for column in record.columns)
    company = record.key[0] or ""
    return not has_company or scope.sees_company(table_map.connection_set_id, company)


def _spelled(key: str, changes: Sequence[CarriedChange], way: Direction) -> str:
    """The record's key on the side a direction starts at, as far as it is known."""
    for one in changes:
        if one.direction == way.value:
            return one.source_key
        return one.target_key
    return key


def _settled(table_map: TableMap, key: str) -> list[Conflict]:
    """Conflicts of the record that were settled, newest first."""
    rows = Conflict.objects.filter(table_map=table_map).exclude(winner="undecided")
    last = key.rpartition(" / ")[2]
    found = rows.filter(key_text__endswith=last).select_related("decided_by")
    return [one for one in found.order_by("-id")[:200] if fits(key, one.key_text)]


def _field(
    line: ColumnMap,
    records: Mapping[Direction, PreviewRecord],
    changes: Sequence[CarriedChange],
    settled: Sequence[Conflict],
    gap: HistoryGap | None,
    copy: Copy | None,
) -> Field:
    values = {side.value: _present(line.on(side), side, records) for side in Side}
    write = _last_write(line, changes)
    conflict = _last_conflict(line, settled, write)
    if conflict is not None:
        origin = _of_conflict(conflict)
        origins = {side.value: origin for side in Side}
    elif write is not None and not _copied_since(write, values, copy):
        origins = _of_write(write, line, records, values, gap)
    elif copy is not None and ways_of(copy, line):
        origins = _of_copy(copy, line, records, gap)
    else:
        origins = {
            side.value: Origin(UNKNOWN, known=False) for side in Side if line.on(side)
        }
    return Field(line.finops or "", line.dataverse or "", values, origins)


def _present(
    path: str | None, side: Side, records: Mapping[Direction, PreviewRecord]
) -> str | None:
    if path is None:
        return None
    folded = path.casefold()
    for way, record in records.items():
        row = record.source if way.source is side else record.target
        for name, value in (row or {}).items():
            if name.casefold() == folded:
                return value
    return None


def _last_write(line: ColumnMap, changes: Sequence[CarriedChange]) -> _Write | None:
    for one in changes:
        written = (line.on(Direction(one.direction).target) or "").casefold()
        if not written or not line.type.flows(Direction(one.direction)):
            continue
        for column in columns_of(one):
            if column.column.casefold() == written and one.kind != "deleted":
                return _Write(one, column.after)
    return None


def _last_conflict(
    line: ColumnMap, settled: Sequence[Conflict], write: _Write | None
) -> Conflict | None:
    for one in settled:
        named = {*(one.finops_columns or ()), *(one.dataverse_columns or ())}
        named.add(one.column)
        moment = one.decided_at or one.created_at
        if not named & {line.finops or "", line.dataverse or ""} - {""}:
            continue
        return one if write is None or moment > write.change.at else None
    return None


def _of_conflict(one: Conflict) -> Origin:
    side = one.side or one.winner
    name = SIDES.get(side, side)
    if one.decided_at is not None:
        who = one.decided_by.get_username() if one.decided_by else "somebody"
        return Origin(f"{who} chose {name}'s version", side, one.decided_at)
    return Origin(
        f"{name}'s version was taken in a conflict. {one.reason}".strip(),
        side,
        one.created_at,
        rule=f"conflict policy {one.policy}",
    )


def _of_write(
    write: _Write,
    line: ColumnMap,
    records: Mapping[Direction, PreviewRecord],
    values: Mapping[str, str | None],
    gap: HistoryGap | None,
) -> dict[str, Origin]:
    change = write.change
    way = Direction(change.direction)
    source, target = way.source.value, way.target.value
    common: dict[str, Any] = {"at": change.committed_at, "version": change.version}
    maybe = ""
    if gap is not None and gap.ended_at > change.at:
        maybe = ", unless a later change was among those not kept"
    if values[target] != write.value:
        changed = Origin(
            f"changed on {SIDES[target]} after {change.at:%Y-%m-%d %H:%M:%S} UTC, and "
            "not carried over",
            target,
        )
        return {target: changed, source: Origin(f"made on {SIDES[source]}", source)}
    # A retry reads the record as it is by then.
    latest = ", then at the latest" if change.phase == "retry" else ""
    return {
        source: Origin(f"made on {SIDES[source]}{latest}{maybe}", source, **common),
        target: Origin(
            f"carried over from {SIDES[source]}{maybe}",
            source,
            rule=_rule(line, records.get(way), target),
            **common,
        ),
    }


def _copied_since(
    write: _Write, values: Mapping[str, str | None], copy: Copy | None
) -> bool:
    """Whether an initial sync gave both sides another value after the write."""
    target = Direction(write.change.direction).target.value
    return (
        copy is not None and copy.at > write.change.at and values[target] != write.value
    )


def _of_copy(
    copy: Copy,
    line: ColumnMap,
    records: Mapping[Direction, PreviewRecord],
    gap: HistoryGap | None,
) -> dict[str, Origin]:
    ways = ways_of(copy, line)
    if any(_differs(line, way, records) for way in ways):
        changed = Origin(
            f"changed on one side since initial sync {copy.run} made both equal, and "
            "not carried over",
        )
        return {side.value: changed for side in Side if line.on(side)}
    missed = gap is not None and gap.ended_at > copy.at
    maybe = ", unless a later change was among those not kept" if missed else ""
    stuck = [one for one in records.values() if one.error and not one.columns]
    if stuck:
        maybe = ", unless it was changed since: it cannot be carried over now"
    found = {}
    for side in Side:
        if line.on(side):
            way = next((one for one in ways if one.target is side), None)
            found[side.value] = Origin(
                f"{sentence(copy, line, ways, side)}{maybe}",
                "" if len(ways) > 1 else ways[0].source.value,
                at=copy.at,
                version=copy.version,
                rule=_rule(line, records.get(way), side.value) if way else "",
            )
    return found


def _differs(
    line: ColumnMap, way: Direction, records: Mapping[Direction, PreviewRecord]
) -> bool:
    """Whether carrying the line over now would change the other side, or fail."""
    record = records.get(way)
    written = (line.on(way.target) or "").casefold()
    if record is None:
        return False
    if record.error_column and record.error_column.casefold() == written:
        return True
    return any(
        column.differs
        for column in record.columns
        if column.column.casefold() == written
    )


def _rule(line: ColumnMap, record: PreviewRecord | None, target: str) -> str:
    written = (line.on(Side(target)) or "").casefold()
    for column in record.columns if record is not None else ():
        if column.column.casefold() == written:
            return column.rule.value
    return ""


def document(found: Fields) -> dict[str, Any]:
    """The fields of one map in `dw record --fields --json`."""
    return {
        "map": found.table_map.name,
        "key": found.key,
        "trouble": found.trouble,
        "fields": [
            {
                "finops": one.finops,
                "dataverse": one.dataverse,
                "values": dict(one.values),
                "origins": {
                    side: {
                        "sentence": origin.sentence,
                        "side": origin.side,
                        "at": origin.at,
                        "version": origin.version,
                        "rule": origin.rule,
                        "known": origin.known,
                    }
                    for side, origin in one.origins.items()
                },
            }
            for one in found.fields
        ],
    }
