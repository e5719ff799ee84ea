"""A Journal and a Control in memory: the engine without a portal."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from syncengine.mapping.causes import HELD
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction, LegalEntityPair, Side, TableMap
from syncengine.ports import (
    Carried,
    ConflictRecord,
    LegConfiguration,
    LegMode,
    LogBudget,
    LoopFound,
    MassChange,
    QueuedEntry,
    RecordFailure,
    RetryRequest,
    StreamConfiguration,
    StreamReport,
    Undecided,
)

LegKey = tuple[int, Direction] | tuple[int, Direction, int]


def leg_key(leg: LegConfiguration | QueuedEntry) -> LegKey:
    """Where a leg, or an entry of its queue, is kept."""
    plain = (leg.map_id, leg.direction)
    return (*plain, leg.scope) if leg.scope else plain


@dataclass
class OpenError:
    """An open error of the memory journal."""

    error_id: int
    failure: RecordFailure
    count: int = 1
    retry: bool = False


class MemoryState:
    """What both streams of a connection set share."""

    def __init__(
        self, maps: Sequence[TableMap], legal_entities: Sequence[LegalEntityPair]
    ) -> None:
        self.lock = threading.RLock()
        self.revision = 1
        self.legal_entities = tuple(legal_entities)
        self.legs: dict[LegKey, LegConfiguration] = {}
        self.queue: dict[LegKey, list[QueuedEntry]] = defaultdict(list)
        self.errors: dict[tuple[int, Direction, Row], OpenError] = {}
        self.closed: list[tuple[RecordFailure, str]] = []
        self.conflicts: list[ConflictRecord] = []
        self.loops: list[LoopFound] = []
        self.doubts: dict[Side, list[tuple[int, Row]]] = {}
        self.carried: list[Carried] = []
        self.undecided: dict[tuple[int, Row, tuple[str, ...]], ConflictRecord] = {}
        self.events: list[tuple[str, str]] = []
        self.aside: dict[LegKey, list[QueuedEntry]] = defaultdict(list)
        self.tables: dict[Side, dict[str, Any]] = {}
        self.confirmed: dict[Side, str] = {}
        self.spooled: set[LegKey] = set()
        self.gaps: list[tuple[Side, str]] = []
        self.truncated: list[str] = []
        self.budget = LogBudget()
        self.held: list[MassChange] = []
        self.alerts: dict[tuple[str, int | None, Side], str] = {}
        self.written: Counter[tuple[int, str]] = Counter()
        self.acknowledged: dict[Side, int] = {}
        self.reports: dict[Side, StreamReport] = {}
        self.broken: list[str] = []
        self.ids = count(1)
        for number, table_map in enumerate(maps, start=1):
            for direction in Direction:
                if table_map.flows(direction):
                    self.legs[number, direction] = LegConfiguration(
                        number * 10 + (direction.source is Side.DATAVERSE),
                        number,
                        direction,
                        LegMode.OFF,
                        table_map,
                    )

    def set_mode(
        self, map_id: int, mode: LegMode, *, fold: bool = False, after: str = ""
    ) -> None:
        """Put all legs of a map into a mode."""
        with self.lock:
            for key, leg in self.legs.items():
                if key[0] == map_id:
                    self.legs[key] = replace(
                        leg, mode=mode, fold=fold, drain_after=after
                    )
            self.revision += 1

    def modes(self) -> set[str]:
        """The modes of all legs."""
        with self.lock:
            return {leg.mode.value for leg in self.legs.values()}

    def retry_all(self) -> None:
        """Ask for a retry of every open error."""
        with self.lock:
            for error in self.errors.values():
                error.retry = True
            self.revision += 1


@dataclass
class MemoryStream:
    """Journal and Control of one stream over the shared state."""

    state: MemoryState
    source: Side
    _direction: Direction = field(init=False)

    def __post_init__(self) -> None:
        self._direction = Direction.from_source(self.source)

    # -- journal --------------------------------------------------------------------

    def record_failures(self, failures: Sequence[RecordFailure]) -> None:
        with self.state.lock:
            for failure in failures:
                key = (failure.map_id, failure.direction, failure.key)
                found = self.state.errors.get(key)
                if found is None:
                    number = next(self.state.ids)
                    self.state.errors[key] = OpenError(number, failure)
                else:
                    if failure.phase == "retry":
                        failure = replace(
                            failure,
                            phase=found.failure.phase,
                            group=found.failure.group,
                        )
                    found.failure = failure
                    found.count += 1
                    found.retry = False

    def open_codes(self) -> Mapping[LegKey, frozenset[str]]:
        with self.state.lock:
            found: dict[LegKey, frozenset[str]] = defaultdict(frozenset)
            for key, error in self.state.errors.items():
                found[key[:2]] |= {error.failure.code}
            return found

    def open_among(
        self, map_id: int, direction: Direction, keys: Collection[Row]
    ) -> set[Row]:
        with self.state.lock:
            return {
                key for key in keys if (map_id, direction, key) in self.state.errors
            }

    def wake(self, map_id: int, direction: Direction, awaited: Collection[str]) -> None:
        with self.state.lock:
            for key, error in self.state.errors.items():
                if key[:2] == (map_id, direction) and error.failure.awaits in awaited:
                    error.retry = True

    def close_failures(
        self,
        map_id: int,
        direction: Direction,
        keys: Sequence[Row],
        state: str,
        *,
        through: Sequence[str] = (),
    ) -> None:
        with self.state.lock:
            for key, latest in zip(keys, through or [""] * len(keys), strict=True):
                found = self.state.errors.get((map_id, direction, key))
                if latest and found and found.failure.position > latest:
                    continue
                self.state.errors.pop((map_id, direction, key), None)
                if found is not None:
                    self.state.closed.append((found.failure, state))
                    self._let_go(found.failure.group)

    def _let_go(self, group: str) -> None:
        """Held records go on when the last culprit of their transaction is settled."""
        members = [e for e in self.state.errors.values() if e.failure.group == group]
        if group and all(e.failure.code == HELD for e in members):
            for error in members:
                error.retry = True

    def retries(self, limit: int) -> Sequence[RetryRequest]:
        with self.state.lock:
            due = [
                RetryRequest(
                    error.error_id, key[0], key[1], key[2], error.failure.operation
                )
                for key, error in self.state.errors.items()
                if error.retry and key[1] is self._direction
            ]
            return due[:limit]

    def retry_unless_closed(
        self, map_id: int, direction: Direction, keys: Sequence[Row]
    ) -> None:
        with self.state.lock:
            for key in keys:
                found = self.state.errors.get((map_id, direction, key))
                if found is not None:
                    found.retry = True

    def put_off(self, error_ids: Sequence[int]) -> None:
        with self.state.lock:
            for error in self.state.errors.values():
                error.retry = error.retry and error.error_id not in error_ids

    def rename_failures(self, keys: Mapping[int, Row]) -> None:
        with self.state.lock:
            for old, error in list(self.state.errors.items()):
                new = keys.get(error.error_id)
                if new is not None:
                    self.state.errors.pop(old)
                    self.state.errors.setdefault((*old[:2], new), error)

    def enqueue(self, entries: Sequence[QueuedEntry]) -> None:
        with self.state.lock:
            for entry in entries:
                key = leg_key(entry)
                leg = self.state.legs[key]
                if entry.position > leg.queued_through:
                    numbered = replace(entry, entry_id=next(self.state.ids))
                    self.state.queue[key].append(numbered)
            for entry in entries:
                key = leg_key(entry)
                leg = self.state.legs[key]
                newest = max(leg.queued_through, entry.position)
                self.state.legs[key] = replace(leg, queued_through=newest)

    def queued(self, leg: LegConfiguration, limit: int) -> Sequence[QueuedEntry]:
        with self.state.lock:
            entries = self.state.queue[leg_key(leg)]
            if leg.fold:
                keys = list(dict.fromkeys(entry.key for entry in entries))[:limit]
                return [e for key in keys for e in entries if e.key == key]
            return list(entries)

    def dequeue(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        with self.state.lock:
            gone = set(entry_ids)
            key = leg_key(leg)
            self.state.queue[key] = [
                e for e in self.state.queue[key] if e.entry_id not in gone
            ]

    def queued_kinds(self, leg: LegConfiguration) -> Mapping[str, int]:
        with self.state.lock:
            return Counter(
                entry.kind
                for entry in self.state.queue[leg_key(leg)]
                if entry.position > leg.approved_through
            )

    def queued_together(
        self, legs: Sequence[LegConfiguration], limit: int
    ) -> Sequence[QueuedEntry]:
        with self.state.lock:
            entries = [
                entry
                for leg in legs
                for entry in self.state.queue[leg.map_id, leg.direction]
            ]
            return sorted(entries, key=lambda one: (one.position, one.ordinal))

    def set_aside_keys(self, leg: LegConfiguration) -> set[Row]:
        with self.state.lock:
            return {e.key for e in self.state.aside[leg.map_id, leg.direction]}

    def set_aside(
        self, leg: LegConfiguration, keys: Sequence[Row] | None, limit: int
    ) -> Sequence[QueuedEntry]:
        with self.state.lock:
            entries = self.state.aside[leg.map_id, leg.direction]
            if keys is None:
                keys = list(dict.fromkeys(entry.key for entry in entries))[:limit]
            return [e for key in keys for e in entries if e.key == key]

    def forget_set_aside(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        with self.state.lock:
            gone = set(entry_ids)
            key = (leg.map_id, leg.direction)
            self.state.aside[key] = [
                e for e in self.state.aside[key] if e.entry_id not in gone
            ]

    def remember_tables(self, side: Side, tables: Mapping[str, Any]) -> None:
        with self.state.lock:
            kept = json.loads(json.dumps(dict(tables)))
            self.state.tables.setdefault(side, {}).update(kept)

    def remembered_tables(self, side: Side) -> Mapping[str, Any]:
        return self.state.tables.get(side, {})

    def record_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        with self.state.lock:
            for one in conflicts:
                if one.winner != "undecided":
                    self.state.conflicts.append(one)
                    continue
                key = (one.map_id, one.finops_key, one.finops_columns)
                if key not in self.state.undecided:
                    self.state.conflicts.append(one)
                    self.state.revision += 1
                self.state.undecided[key] = one

    def keep_doubts(self, records: Sequence[tuple[int, Row]]) -> None:
        self.state.doubts[self.source] = list(records)

    def doubts(self) -> Sequence[tuple[int, Row]]:
        return self.state.doubts.get(self.source, [])

    def keeps_history(self) -> bool:
        return True

    def carried(self, carried: Carried) -> None:
        self.state.carried.append(carried)

    def undecided(self, map_id: int) -> Sequence[Undecided]:
        with self.state.lock:
            return [
                Undecided(
                    one.finops_key,
                    one.dataverse_key,
                    one.finops_columns,
                    one.dataverse_columns,
                )
                for key, one in self.state.undecided.items()
                if key[0] == map_id
            ]

    def close_undecided(
        self, map_id: int, finops_key: Row, columns: Sequence[str] | None
    ) -> None:
        with self.state.lock:
            for key in list(self.state.undecided):
                if key[:2] == (map_id, finops_key) and (
                    columns is None or key[2] == tuple(columns)
                ):
                    del self.state.undecided[key]
                    self.state.revision += 1

    def report(self, report: StreamReport) -> None:
        with self.state.lock:
            self.state.reports[self.source] = report
            for map_id, counts in report.written.items():
                for kind, number in counts.items():
                    self.state.written[map_id, kind] += number

    def event(self, kind: str, message: str, **details: Any) -> None:
        with self.state.lock:
            self.state.events.append((kind, message))

    def alert(
        self,
        kind: str,
        message: str,
        *,
        map_id: int | None = None,
        severity: str = "warning",
        **details: Any,
    ) -> None:
        with self.state.lock:
            self.state.alerts[kind, map_id, self.source] = message

    def clear_alert(self, kind: str, *, map_id: int | None = None) -> None:
        with self.state.lock:
            self.state.alerts.pop((kind, map_id, self.source), None)

    # -- control --------------------------------------------------------------------

    def revision(self) -> int:
        return self.state.revision

    def configuration(self) -> StreamConfiguration:
        with self.state.lock:
            legs = tuple(self.state.legs.values())
            return StreamConfiguration(
                self.state.revision,
                tuple(leg for leg in legs if leg.direction is self._direction),
                tuple(leg for leg in legs if leg.direction is not self._direction),
                self.state.legal_entities,
            )

    def acknowledge(self, revision: int, position: str) -> None:
        with self.state.lock:
            self.state.acknowledged[self.source] = revision

    def drained(self, leg: LegConfiguration) -> bool:
        with self.state.lock:
            key = leg_key(leg)
            present = self.state.legs[key]
            if present.mode is not LegMode.DRAIN or self.state.queue[key]:
                return False
            self.state.legs[key] = replace(present, mode=LegMode.LIVE)
            self.state.revision += 1
            return True

    def loop_found(self, loop: LoopFound) -> None:
        self.state.loops.append(loop)
        for map_id in loop.map_ids:
            self.state.set_mode(map_id, LegMode.QUEUE)

    def hold(self, leg: LegConfiguration, wave: MassChange) -> None:
        with self.state.lock:
            key = leg_key(leg)
            self.state.held.append(wave)
            self.state.legs[key] = replace(self.state.legs[key], mode=LegMode.QUEUE)
            self.state.revision += 1

    def schema_broken(self, leg: LegConfiguration, code: str, message: str) -> None:
        with self.state.lock:
            key = leg_key(leg)
            self.state.broken.append(f"{code}: {message}")
            self.state.legs[key] = replace(self.state.legs[key], mode=LegMode.DRAIN)
            self.state.revision += 1

    def replayed(self, leg: LegConfiguration) -> None:
        with self.state.lock:
            key = (leg.map_id, leg.direction)
            present = self.state.legs[key]
            if not self.state.aside[key]:
                self.state.legs[key] = replace(present, set_aside=False, replay=False)
                self.state.revision += 1

    def budget(self) -> LogBudget:
        return self.state.budget

    def confirming(self, position: str) -> None:
        self.state.confirmed[self.source] = position

    def confirmed(self) -> str:
        return self.state.confirmed.get(self.source, "")

    def spool(self, reason: str) -> None:
        with self.state.lock:
            for key, leg in self.state.legs.items():
                if key[1] is self._direction and leg.mode is LegMode.LIVE:
                    self.state.legs[key] = replace(leg, mode=LegMode.DRAIN)
                    self.state.spooled.add(key)
            self.state.revision += 1

    def unspool(self, position: str) -> None:
        with self.state.lock:
            for key in [k for k in self.state.spooled if k[1] is self._direction]:
                self.state.queue[key] = [
                    e for e in self.state.queue[key] if e.position > position
                ]
                self.state.spooled.discard(key)

    def gap(self, reason: str) -> None:
        with self.state.lock:
            self.state.gaps.append((self.source, reason))

    def truncated(self, tables: Sequence[str]) -> None:
        with self.state.lock:
            self.state.truncated.extend(tables)
