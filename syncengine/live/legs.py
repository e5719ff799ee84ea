"""Legs as a running stream knows them: compiled, with what they have to look up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from syncengine.awaiting import LegId
from syncengine.connectors.base import Reader, ReadRequest, Relation
from syncengine.mapping.compiled import BoundLeg, CompiledLeg, Lookup, Resolved, Row
from syncengine.ports import LegConfiguration

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


@dataclass(slots=True)
class Layout:
    """A leg bound to one relation: row functions and the columns that matter."""

    relation: Relation
    bound: BoundLeg
    mapped_values: Any
    """Picks the values whose change makes the leg write, from a source row."""


@dataclass
class LiveLeg:
    """One leg of the stream. `compiled` is None while its tables do not fit the map;
    `problem` then says why. `has_errors` when records of it have an open error;
    `open_keys` are those of them that the present batch is about."""

    configuration: LegConfiguration
    compiled: CompiledLeg | None
    resolved: Resolved
    problem: str = ""
    has_errors: bool = False
    open_keys: set[Row] = field(default_factory=set)
    _layouts: dict[int, Layout] = field(default_factory=dict)

    @property
    def id(self) -> LegId:
        """The leg by map and direction."""
        return self.configuration.map_id, self.configuration.direction

    @property
    def global_table(self) -> bool:
        """True when the map's rows belong to no company."""
        return self.compiled is not None and self.compiled.source_company is None

    def layout(self, relation: Relation) -> Layout:
        """The leg bound to `relation`. Raises EngineError `schema_changed`."""
        found = self._layouts.get(id(relation))
        if found is None or found.relation is not relation:
            if self.compiled is None:
                raise AssertionError("a leg without tables has no layout")
            bound = self.compiled.bind(relation.columns)
            triggers = self.compiled.triggers
            indexes = [i for i, c in enumerate(relation.columns) if c in triggers]
            mapped_values = itemgetter(*indexes) if indexes else _nothing
            found = Layout(relation, bound, mapped_values)
            if len(self._layouts) >= LAYOUTS_KEPT:
                self._layouts.clear()
            self._layouts[id(relation)] = found
        return found


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
