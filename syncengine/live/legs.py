"""Legs as a running stream knows them: compiled, with what they have to look up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from syncengine.awaiting import LegId
from syncengine.connectors.base import Change, Reader, ReadRequest, Relation
from syncengine.errors import EngineError
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    KeyPath,
    Lookup,
    LookupTarget,
    Resolved,
    Row,
)
from syncengine.mapping.dangling import reference_of
from syncengine.ports import LegConfiguration, QueuedEntry, Undecided

ENTRIES_KEPT = 200_000
"""Of one lookup: some 30 MB."""

LAYOUTS_KEPT = 64
"""Relations are told anew after each schema change and made anew by each replay."""


class LookupCache:
    """Natural keys of source rows by reference.

    Integration keys are immutable, so an entry stays right until its table reports
    a change; then the whole table's entries are forgotten.
    """

    def __init__(self) -> None:
        self._known: dict[Lookup, dict[str, str | None]] = {}

    def table(self, lookup: Lookup) -> dict[str, str | None]:
        """The (shared, growing) entries of one lookup."""
        return self._known.setdefault(lookup, {})

    def forget(self, table: str) -> None:
        """Drop what came from `table`."""
        for lookup, entries in self._known.items():
            if table in lookup.all_tables:
                entries.clear()

    def forget_all(self) -> None:
        """Drop everything."""
        for entries in self._known.values():
            entries.clear()

    def trim(self) -> None:
        """Forget a lookup that has grown too large. Only between two batches."""
        for entries in self._known.values():
            if len(entries) > ENTRIES_KEPT:
                entries.clear()

    def fetch(self, reader: Reader, wanted: dict[Lookup, set[str]]) -> None:
        """Read the entries that are not known yet, one query per lookup."""
        for lookup, references in wanted.items():
            entries = self.table(lookup)
            missing = [value for value in references if value not in entries]
            if missing:
                entries.update(reader.resolve(lookup, missing))

    def recall(
        self,
        reader: Reader,
        wanted: Mapping[Lookup, set[str]],
        changes: Sequence[Change],
    ) -> bool:
        """Learn the keys of rows that cannot be read from their own changes: a child
        is known by its parent's key, and both may be deleted before the child's delete
        is routed; and what a transaction inserted may not be visible yet when its
        changes are. True when some entries are not known yet."""
        missing = {
            lookup: unknown
            for lookup, references in wanted.items()
            if (unknown := references - self.table(lookup).keys())
        }
        for lookup, unknown in missing.items() if changes else ():
            entries, onward = self.table(lookup), {}
            for reference, path, key in _told_by(changes, lookup):
                if reference in unknown and not path.hops:
                    entries[reference] = key
                elif reference in unknown and key is not None:
                    onward[reference] = (_onward(path), key)
            self._recall_onward(reader, entries, onward, changes)
        return any(unknown - self.table(one).keys() for one, unknown in missing.items())

    def told(self, change: Change) -> None:
        """Take the key of an inserted row: records that refer to it may come before it
        can be read."""
        for lookup, entries in self._known.items():
            if change.relation.table in lookup.all_tables:
                for reference, path, key in _told_by((change,), lookup):
                    if reference is not None and not path.hops:
                        entries[reference] = key

    def learn(self, leg: CompiledLeg, entries: Iterable[QueuedEntry]) -> None:
        """Take keys from queued changes: their parents may have gone since."""
        places = [
            (place, lookup, self.table(lookup))
            for place, path in enumerate(leg.source_key)
            for lookup in leg.source_lookups
            if lookup.path == path
        ]
        for entry in entries if places else ():
            row = entry.new if entry.new is not None else entry.old
            for place, lookup, known in places:
                if row is None or len(entry.key) <= place:
                    continue
                key = entry.key[place]
                told = key is not None and reference_of(key) is None
                if told and lookup.column in entry.columns:
                    reference = row[entry.columns.index(lookup.column)]
                    if reference is not None:
                        known.setdefault(reference, key)

    def _recall_onward(
        self,
        reader: Reader,
        entries: dict[str, str | None],
        onward: Mapping[str, tuple[Lookup, str]],
        changes: Sequence[Change],
    ) -> None:
        """Where the key is that of a row that this one refers to in turn."""
        wanted: dict[Lookup, set[str]] = {}
        for lookup, reference in onward.values():
            wanted.setdefault(lookup, set()).add(reference)
        if wanted:
            self.fetch(reader, wanted)
            self.recall(reader, wanted, changes)
        for gone, (lookup, reference) in onward.items():
            if reference in self.table(lookup):
                entries[gone] = self.table(lookup)[reference]


@dataclass(slots=True)
class Layout:
    """A leg bound to one relation: row functions and the columns that matter.

    `lacking` paths had not been there yet when the changes were made (or had other
    names); `bound` takes rows that are filled up with them, for which `whole` is the
    layout. See `outdated`.
    """

    relation: Relation
    bound: BoundLeg
    mapped_values: Any
    """Picks the values whose change makes the leg write, from a source row."""
    lacking: tuple[str, ...] = ()
    whole: Layout | None = None


@dataclass
class LiveLeg:
    """One leg of the stream. `compiled` is None while its tables do not fit the map;
    `problem` then says why. `has_errors` when records of it have an open error;
    `open_keys` are those of them that the present batch is about. `undecided` conflicts
    by source key keep their columns as they are; `held` are their slots. `touched` are
    such records that were written meanwhile, `written` all records written since
    someone took note of them. `retried` is what retries wrote for records of which
    earlier changes may still be to come."""

    configuration: LegConfiguration
    compiled: CompiledLeg | None
    resolved: Resolved
    problem: str = ""
    has_errors: bool = False
    open_keys: set[Row] = field(default_factory=set)
    undecided: dict[Row, list[Undecided]] = field(default_factory=dict)
    held: dict[Row, frozenset[int]] = field(default_factory=dict)
    touched: set[Row] = field(default_factory=set)
    written: set[Row] = field(default_factory=set)
    retried: dict[Row, Row] = field(default_factory=dict)
    _layouts: dict[int, Layout] = field(default_factory=dict)

    @property
    def id(self) -> LegId:
        """The leg by map and direction."""
        return self.configuration.map_id, self.configuration.direction

    @property
    def global_table(self) -> bool:
        """True when the map's rows belong to no company."""
        return self.compiled is not None and self.compiled.source_company is None

    def free_slots(self, source_key: Row) -> frozenset[int] | None:
        """The slots of a record that no undecided conflict holds; None: all."""
        held = self.held.get(source_key)
        if not held or self.compiled is None:
            return None
        return frozenset(range(len(self.compiled.slots))) - held

    def layout(self, relation: Relation) -> Layout:
        """The leg bound to `relation`. Raises EngineError `schema_changed` when the
        relation lacks a column of the key."""
        found = self._layouts.get(id(relation))
        if found is None or found.relation is not relation:
            if self.compiled is None:
                raise AssertionError("a leg without tables has no layout")
            bound, lacking = _bound(self.compiled, relation.columns)
            picks = _picks(self.compiled, relation.columns)
            found = Layout(relation, bound, picks, lacking)
            if lacking:
                table, full = relation.table, relation.full_identity
                whole = Relation(table, relation.columns + lacking, full)
                picks = _picks(self.compiled, whole.columns)
                found.whole = Layout(whole, bound, picks)
            if len(self._layouts) >= LAYOUTS_KEPT:
                self._layouts.clear()
            self._layouts[id(relation)] = found
        return found


def _told_by(
    changes: Sequence[Change], lookup: Lookup
) -> Iterator[tuple[str | None, KeyPath, str | None]]:
    """What changed rows tell of a lookup that may have led to them: the reference, the
    path of the natural key, and the value of its first column."""
    for target in lookup.targets:
        (path,) = target.keys
        first = path.hops[0].column if path.hops else path.column
        for change in changes:
            columns = change.relation.columns
            row = change.new if change.new is not None else change.old
            if row is None or change.relation.table != target.table:
                continue
            if target.reference in columns and first in columns:
                reference = row[columns.index(target.reference)]
                yield reference, path, row[columns.index(first)]


def _onward(path: KeyPath) -> Lookup:
    """The lookup of the next table on the way to a key over several hops."""
    first, *rest = path.hops
    key = KeyPath(path.column, tuple(rest))
    return Lookup(first.column, (LookupTarget(first.table, first.reference, (key,)),))


def _picks(leg: CompiledLeg, columns: tuple[str, ...]) -> Any:
    triggers = leg.triggers
    indexes = [i for i, column in enumerate(columns) if column in triggers]
    return itemgetter(*indexes) if indexes else _nothing


def _bound(
    leg: CompiledLeg, columns: tuple[str, ...]
) -> tuple[BoundLeg, tuple[str, ...]]:
    """The leg on these columns, and the paths it had to be given besides."""
    try:
        return leg.bind(columns), ()
    except EngineError as error:
        gone = set(error.details.get("columns", ()))
        lookups = {lookup.path: lookup.column for lookup in leg.source_lookups}
        lacking = tuple(
            path
            for path in leg.source_paths
            if path not in columns and lookups.get(path, path) in gone
        )
        if not lacking or set(lacking) & set(leg.source_key):
            raise
        return leg.bind(columns + lacking), lacking


def _nothing(row: Row) -> None:
    return None


def collect_references(
    leg: LiveLeg,
    layout: Layout,
    rows: Iterable[Row | None],
    wanted: dict[Lookup, set[str]],
) -> None:
    """Add the references of `rows` that the cache does not know to `wanted`."""
    if leg.compiled is None:
        return
    for lookup, index, known in zip(
        leg.compiled.source_lookups,
        layout.bound.references,
        leg.resolved,
        strict=True,
    ):
        if index is None:
            continue
        for row in rows:
            if row is None:
                continue
            value = row[index]
            if value is not None and value not in known:
                wanted.setdefault(lookup, set()).add(value)


def record_request(leg: CompiledLeg) -> ReadRequest:
    """The read that finds present source rows by integration key, in scope only."""
    return ReadRequest(
        table=leg.source.name,
        columns=leg.source_paths,
        lookups=leg.source_lookups,
        key=leg.source_key,
        predicate=leg.predicate_expression,
        company=leg.source_company,
        companies=tuple(leg.companies),
    )
