"""Natural keys of mapped rows turned into references, a whole set at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from syncengine.connectors.base import Outcome
from syncengine.connectors.postgres.arrays import array_literal
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.lookups import (
    AMBIGUOUS,
    Wanted,
    collect,
    key_arrays,
    lookup_failure,
)
from syncengine.connectors.postgres.statements import LegStatements
from syncengine.mapping.compiled import CompiledLeg, Lookup, Row
from syncengine.mapping.natural_keys import own_key

if TYPE_CHECKING:
    from syncengine.connectors.postgres.load import Record


@dataclass
class Resolution:
    """Records sorted by what their lookups found.

    `ready` have every reference. `later` wait for rows of the same set through
    columns that may stay null until then, and are null now. `blocked` wait through
    columns that may not be null. `deferred` wait for rows that are still to come, and
    are null there now. `failed` refer to nothing.
    """

    ready: list[Record] = field(default_factory=list)
    later: list[Record] = field(default_factory=list)
    blocked: list[Record] = field(default_factory=list)
    deferred: list[Record] = field(default_factory=list)
    failed: dict[Record, Outcome] = field(default_factory=dict)


class References:
    """The lookups of one leg on one connection."""

    def __init__(
        self,
        connection: PostgresConnection,
        statements: LegStatements,
        leg: CompiledLeg,
        defer: frozenset[int] = frozenset(),
    ) -> None:
        self._defer = defer
        self._connection = connection
        self._statements = statements
        self._leg = leg
        self._lookups = [
            (index, slot.lookup)
            for index, slot in enumerate(leg.slots)
            if slot.lookup is not None and index != leg.company
        ]
        company = None if leg.company is None else leg.slots[leg.company].lookup
        self._company = company
        self._companies: dict[str, str] = {}

    @property
    def needed(self) -> bool:
        """True when the leg has any lookup."""
        return self._company is not None or bool(self._lookups)

    def replaced(self, rows: Sequence[Row]) -> Sequence[Row] | None:
        """The rows with references in place of natural keys, column by column; None
        when any of them finds nothing: `resolve` then tells which and why."""
        if not self.needed or not rows:
            return rows
        columns: list[Sequence[str | None]] = list(zip(*rows, strict=True))
        companies: Sequence[str | None] = [None] * len(rows)
        if self._leg.company is not None:
            companies = columns[self._leg.company]
            if self._company is not None:
                self._learn_companies(set(companies))
                companies = [self._companies.get(code or "") for code in companies]
                if None in companies:
                    return None
                columns[self._leg.company] = companies
        nowhere: Sequence[str | None] = [None] * len(rows)
        for index, lookup in self._lookups:
            scopes = companies if self._scoped(lookup) else nowhere
            asked = list(zip(columns[index], scopes, strict=True))
            wanted = set(asked)
            found: dict[Wanted, str | None] = {**self._find(lookup, wanted)}
            found.update({pair: None for pair in wanted if pair[0] is None})
            if len(found) < len(wanted) or AMBIGUOUS in found.values():
                return None
            columns[index] = [found[pair] for pair in asked]
        return list(zip(*columns, strict=True))

    def resolve(self, records: Sequence[Record]) -> Resolution:
        """Look all natural keys up and put the references into the records."""
        if not self.needed:
            return Resolution(ready=list(records))
        if self._leg.company is not None and self._company is not None:
            company = self._leg.company
            self._learn_companies({record.row[company] for record in records})
        found = {
            index: self._find(lookup, self._wanted(index, lookup, records))
            for index, lookup in self._lookups
        }
        inside = {
            index: self._keys_inside(lookup, records)
            for index, lookup in self._lookups
            if self._leg.target.name in lookup.tables
        }
        resolution = Resolution()
        for record in records:
            self._place(record, found, inside, resolution)
        return resolution

    def unresolved(self, records: Iterable[Record]) -> dict[Record, Outcome]:
        """Outcomes of records that still wait when nothing more will come."""
        return {
            record: self._failure(record.row, self._waiting(record))
            for record in records
        }

    def _waiting(self, record: Record) -> int:
        return next(
            index
            for index, _ in self._lookups
            if record.row[index] is not None and record.values[index] is None
        )

    def _place(
        self,
        record: Record,
        found: dict[int, dict[Wanted, str]],
        inside: dict[int, set[Wanted]],
        resolution: Resolution,
    ) -> None:
        row = record.row
        values = list(row)
        company = self._written_company(row)
        if self._company is not None and self._leg.company is not None:
            if company is None and row[self._leg.company] is not None:
                outcome = self._failure(row, self._leg.company)
                resolution.failed[record] = outcome
                return
            values[self._leg.company] = company
        wait = block = defer = False
        for index, lookup in self._lookups:
            key = row[index]
            if key is None:
                continue
            scope = company if self._scoped(lookup) else None
            reference = found[index].get((key, scope))
            if reference is None and (key, scope) in inside.get(index, ()):
                nullable = self._leg.slots[index].nullable
                wait = wait or nullable
                block = block or not nullable or index in self._leg.key
            elif reference is None and index in self._defer:
                defer = True
            elif reference is None or reference is AMBIGUOUS:
                outcome = self._failure(row, index, many=reference is AMBIGUOUS)
                resolution.failed[record] = outcome
                return
            values[index] = reference
        record.values = tuple(values)
        if block:
            resolution.blocked.append(record)
        elif defer:
            resolution.deferred.append(record)
        elif wait:
            resolution.later.append(record)
        else:
            resolution.ready.append(record)

    def _scoped(self, lookup: Lookup) -> bool:
        return lookup.scoped and self._leg.company is not None

    def _written_company(self, row: Row) -> str | None:
        if self._leg.company is None:
            return None
        code = row[self._leg.company]
        if self._company is None or code is None:
            return code
        return self._companies.get(code)

    def _learn_companies(self, codes: set[str | None]) -> None:
        lookup = self._company
        wanted = sorted({code for code in codes if code} - self._companies.keys())
        if lookup is not None and wanted:
            query = self._statements.resolve(lookup)
            rows = self._rows(query, [array_literal(wanted)])
            for number, reference in rows:
                self._companies[wanted[int(number) - 1]] = reference

    def _rows(self, query: bytes, arrays: Sequence[str]) -> list[tuple[str, ...]]:
        cursor = psycopg.RawCursor(self._connection)
        return cursor.execute(query, arrays, prepare=False).fetchall()

    def _wanted(
        self, index: int, lookup: Lookup, records: Sequence[Record]
    ) -> set[Wanted]:
        scoped = self._scoped(lookup)
        return {
            (record.row[index], self._written_company(record.row) if scoped else None)
            for record in records
        }

    def _find(self, lookup: Lookup, wanted: set[Wanted]) -> dict[Wanted, str]:
        scoped = self._scoped(lookup)
        asked = [
            pair
            for pair in wanted
            if pair[0] is not None and not (scoped and pair[1] is None)
        ]
        if not asked:
            return {}
        arrays = [
            array_literal(values) for values in key_arrays(lookup, self._leg, asked)
        ]
        return collect(self._rows(self._statements.resolve(lookup), arrays), asked)

    def _keys_inside(self, lookup: Lookup, records: Sequence[Record]) -> set[Wanted]:
        """Natural keys that the set itself brings, with their company."""
        key = own_key(self._leg, lookup)
        if key is None:
            return set()
        scoped = self._scoped(lookup)
        return {
            (key(record.row), self._written_company(record.row) if scoped else None)
            for record in records
        }

    def _failure(self, row: Row, index: int, *, many: bool = False) -> Outcome:
        return lookup_failure(self._leg, row, index, many=many)
