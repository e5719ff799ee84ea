"""Writes of both streams that crossed, found and mended (architecture section 6).

Each stream compares the target with the base of the change it carries. When users set
one column to and fro on both sides at once, both streams may find what they expect
and each write the other side's value: then both sides have changed places, and no
change is left that tells of it. The source's log shows it: what the opposite stream
wrote there (an *echo*), after a change of the same record that this stream carries.
Such a record is in doubt. It is read on both sides; where it differs and stays as it
is while everything committed before is carried over, it is settled by the map's policy.
One stream of the two, that of FinOps, looks for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice

from syncengine.agreement import differing, source_request
from syncengine.conflicts import Settler
from syncengine.connectors.base import ColumnConflict, Connector, Reader, Transaction
from syncengine.contests import Contest
from syncengine.errors import EngineError, RecordError
from syncengine.live.configuring import Configuration
from syncengine.live.due import Due
from syncengine.live.legs import LiveLeg
from syncengine.live.loops import Loops
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.model import Direction, Side
from syncengine.ports import Journal
from syncengine.record_keys import as_read

REMEMBERED = 100_000
"""Records kept in mind, of each kind; twice as many at most."""

KEPT = 5_000
"""Records in doubt that outlive the worker."""

LOOK_EVERY = 0.3
AT_ONCE = 500
"""Records in doubt that are read at once."""

Record = tuple[int, Row]
"""A map and the record's key on the source."""


class Recent:
    """The last `REMEMBERED` records or more."""

    def __init__(self) -> None:
        self._new: set[Record] = set()
        self._old: set[Record] = set()

    def __contains__(self, record: Record) -> bool:
        return record in self._new or record in self._old

    def add(self, record: Record) -> bool:
        """True when older ones were forgotten for it."""
        self._new.add(record)
        if len(self._new) < REMEMBERED:
            return False
        self._old, self._new = self._new, set()
        return True


@dataclass(slots=True)
class _Doubt:
    """A record that differed, and up to where both logs must have been carried over
    before that means something."""

    rows: tuple[Row | None, Row | None]
    here: str
    there: str


class Agreement:
    """Keeps in mind what this stream wrote and what came back, and mends what crossed.

    `memory` outlives outages: hand the same one to the next session. Records that were
    found to differ are in the journal, for the next worker.
    """

    def __init__(
        self,
        link: str,
        source: Connector,
        target: Connector,
        reader: Reader,
        settler: Settler,
        journal: Journal,
        stack: ExitStack,
        memory: Memory,
        loops: Loops,
    ) -> None:
        self._loops = loops
        self._link = link
        self._target = target
        self._reader = reader
        self._settler = settler
        self._journal = journal
        self._stack = stack
        self._memory = memory
        self._other: Reader | None = None
        self._due = Due()
        self.on = source.settings.side is Side.FINOPS
        if self.on and not memory.since:
            memory.since = self._target_reader().position()
            memory.doubtful.update(dict.fromkeys(journal.doubts()))
            memory.kept = frozenset(memory.doubtful)

    def _target_reader(self) -> Reader:
        if self._other is None:
            self._other = self._stack.enter_context(self._target.reader())
        return self._other

    # -- what was written -------------------------------------------------------------

    def apart(
        self, transactions: Sequence[Transaction]
    ) -> tuple[list[Transaction], list[Transaction]]:
        """Those of users and those of the opposite stream."""
        users = [one for one in transactions if not one.own]
        if len(users) == len(transactions):
            return users, []
        return users, [one for one in transactions if one.own]

    def note(self, own: Sequence[Transaction], configuration: Configuration) -> None:
        """Note what this stream has written since the last call, and what the opposite
        one wrote; call when the users' changes before that have been carried over."""
        self.wrote(configuration)
        memory = self._memory
        if memory.forgot:
            # What is forgotten now could still cross with what was changed on the
            # target before this moment.
            memory.since, memory.forgot = self._target_reader().position(), False
        if own:
            self._echoed(own, configuration)

    def _echoed(
        self, transactions: Iterable[Transaction], configuration: Configuration
    ) -> None:
        memory = self._memory
        for one in transactions:
            if one.large:
                self._loops.unknown()
                continue
            unknown = not one.origin or one.origin < memory.since
            for change in one.changes:
                row = change.new if change.new is not None else change.old
                if row is None:
                    continue
                for leg in configuration.by_table.get(change.relation.table, ()):
                    map_id = leg.configuration.map_id
                    if leg.compiled is None or map_id not in configuration.reverse:
                        continue
                    try:
                        layout = leg.layout(change.relation)
                        key = layout.bound.source_key(row, leg.resolved)
                    except EngineError:
                        continue
                    self._echo((map_id, key), unknown=unknown)
                    self._loops.echo(leg, key, change, configuration)

    def _echo(self, record: Record, *, unknown: bool) -> None:
        memory = self._memory
        memory.echoed.add(record)
        if unknown or record in memory.wrote:
            memory.doubtful[record] = None

    def wrote(self, configuration: Configuration) -> None:
        """Note what this stream has written since the last call, committed or not: of
        a large transaction after each portion, for its records are many."""
        memory = self._memory
        for leg in configuration.legs:
            if not leg.written:
                continue
            map_id = leg.configuration.map_id
            written, leg.written = leg.written, set()
            if not self.on or map_id not in configuration.reverse:
                continue
            for key in written:
                record = (map_id, key)
                if memory.wrote.add(record):
                    memory.forgot = True
                if record in memory.echoed:
                    memory.doubtful[record] = None

    def doubt(self, leg: LiveLeg, keys: Iterable[Row]) -> None:
        """Have these records looked at."""
        if self.on:
            for key in keys:
                self._memory.doubtful[leg.configuration.map_id, key] = None

    # -- what is in doubt -------------------------------------------------------------

    def look(self, configuration: Configuration, seen: str) -> None:
        """Look at records in doubt, now and then, and settle those that differ for
        good. `seen` is up to where this stream has carried the source's log over."""
        memory = self._memory
        if not (memory.doubtful or memory.doubts):
            return
        if not self._due.now("look", LOOK_EVERY):
            return
        ripe = self._ripe(configuration, seen)
        fresh = list(memory.doubtful)[: AT_ONCE - len(ripe)]
        for record in fresh:
            del memory.doubtful[record]
        by_map: dict[int, list[Row]] = {}
        # One that is ripe and written again is looked at once: what is found to differ
        # now has not waited yet.
        for map_id, key in ripe.union(fresh):
            by_map.setdefault(map_id, []).append(key)
        try:
            for map_id, keys in by_map.items():
                self._look_at(configuration, map_id, keys, ripe)
        except EngineError:
            # Interrupted: they are looked at again, and a settled one found equal.
            memory.doubtful.update(dict.fromkeys([*ripe, *fresh]))
            raise
        unread = [record for record in memory.kept if record in memory.doubtful]
        self._keep([*memory.doubts, *unread])

    def stop(self) -> None:
        """The stream ends in order: another worker goes on with what is in doubt."""
        memory = self._memory
        if self.on:
            self._keep([*memory.doubts, *memory.doubtful])

    def _keep(self, records: Iterable[Record]) -> None:
        wanted = frozenset(islice(records, KEPT))
        if wanted != self._memory.kept:
            self._journal.keep_doubts(sorted(wanted, key=str))
            self._memory.kept = wanted

    def _ripe(self, configuration: Configuration, seen: str) -> set[Record]:
        """Doubts that everything committed before has been carried over for."""
        doubts = self._memory.doubts
        if not doubts:
            return set()
        there = max(doubt.there for doubt in doubts.values())
        confirmed = self._target.confirmed(self._link, there)
        found: set[Record] = set()
        for record, doubt in list(doubts.items())[:AT_ONCE]:
            if record[0] not in configuration.both_live:
                continue
            if doubt.here <= seen and (
                confirmed or self._target.confirmed(self._link, doubt.there)
            ):
                found.add(record)
        return found

    def _look_at(
        self,
        configuration: Configuration,
        map_id: int,
        keys: Sequence[Row],
        ripe: set[Record],
    ) -> None:
        memory = self._memory
        reverse = configuration.reverse.get(map_id)
        leg = next(
            (one for one in configuration.legs if one.configuration.map_id == map_id),
            None,
        )
        if leg is None or leg.compiled is None or reverse is None:
            for key in keys:
                memory.doubts.pop((map_id, key), None)
            return
        rows = self._rows(leg.compiled, reverse, keys)
        old = [key for key in keys if (map_id, key) in ripe]
        waiting = self._waiting(leg, reverse, old)
        positions: tuple[str, str] | None = None
        for key in keys:
            record = (map_id, key)
            doubt = memory.doubts.pop(record, None)
            pair = rows.get(key, (None, None))
            columns = differing(leg.compiled, reverse, *pair)
            if not columns:
                continue
            same = doubt is not None and doubt.rows == pair
            if same and record in ripe:
                if key not in waiting:
                    self._settle(leg, leg.compiled, reverse, key, pair, columns)
                continue
            if positions is None:
                positions = (
                    self._reader.position(),
                    self._target_reader().position(),
                )
            memory.doubts[record] = _Doubt(pair, *positions)

    def _waiting(
        self, leg: LiveLeg, reverse: CompiledLeg, keys: Sequence[Row]
    ) -> set[Row]:
        """Records in the error list: a retry will decide about them."""
        if leg.compiled is None or not keys:
            return set()
        map_id, direction = leg.id
        ours = set(self._journal.open_among(map_id, direction, list(keys)))
        theirs = _their_keys(leg.compiled, reverse, keys)
        opposite = Direction.from_source(direction.target)
        there = self._journal.open_among(map_id, opposite, list(theirs))
        return ours | {theirs[key] for key in there}

    def _rows(
        self, leg: CompiledLeg, reverse: CompiledLeg, keys: Sequence[Row]
    ) -> dict[Row, tuple[Row | None, Row | None]]:
        """Both present rows by the key on the source."""
        theirs = _their_keys(leg, reverse, keys)
        rows: dict[Row, tuple[Row | None, Row | None]] = {}
        bound = leg.bind(leg.source_paths)
        resolved: list[Mapping[str, str | None]] = [{} for _ in leg.source_lookups]
        for row in self._reader.fetch(source_request(leg), keys):
            rows[bound.source_key(row, resolved)] = (row, None)
        back = reverse.bind(reverse.source_paths)
        nothing: list[Mapping[str, str | None]] = [{} for _ in reverse.source_lookups]
        found = self._target_reader().fetch(source_request(reverse), list(theirs))
        for row in found:
            key = theirs.get(back.source_key(row, nothing))
            if key is not None:
                rows[key] = (rows.get(key, (None, None))[0], row)
        return rows

    def _settle(
        self,
        leg: LiveLeg,
        compiled: CompiledLeg,
        reverse: CompiledLeg,
        key: Row,
        pair: tuple[Row | None, Row | None],
        columns: Sequence[int | None],
    ) -> None:
        with suppress(RecordError):  # what cannot be mapped is left to a compare
            contest = Contest(
                map_id=leg.configuration.map_id,
                leg=compiled,
                reverse=reverse,
                source_key=key,
                target_key=_their_key(compiled, reverse, key),
                columns=[ColumnConflict(slot, None, None, None) for slot in columns],
                expected=pair,
            )
            self._settler.settle(contest)


class Memory:
    """What a stream keeps in mind from session to session."""

    def __init__(self) -> None:
        self.since = ""
        self.forgot = False
        """Something was, since `since` was set."""
        self.wrote = Recent()
        self.echoed = Recent()
        self.doubtful: dict[Record, None] = {}
        self.doubts: dict[Record, _Doubt] = {}
        self.kept: frozenset[Record] = frozenset()


def _their_keys(
    leg: CompiledLeg, reverse: CompiledLeg, keys: Sequence[Row]
) -> dict[Row, Row]:
    """The key on the source by that on the target, of those that have one there."""
    found: dict[Row, Row] = {}
    for key in keys:
        with suppress(RecordError):  # a key that cannot be mapped was never written
            found[_their_key(leg, reverse, key)] = key
    return found


def _their_key(leg: CompiledLeg, reverse: CompiledLeg, key: Row) -> Row:
    """The record's key on the target, from its key on the source."""
    known = dict(zip(leg.source_key, key, strict=True))
    row = tuple(known.get(path) for path in leg.source_paths)
    resolved: list[Mapping[str, str | None]] = [{} for _ in leg.source_lookups]
    written = leg.bind(leg.source_paths).key(row, resolved)
    return as_read(leg, reverse, written)
