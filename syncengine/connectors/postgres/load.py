"""Bulk upsert of mapped rows: one transaction, set-based, refused rows set apart.

References are looked up first, all values of a lookup in one query. Rows that look
new are copied straight into the table; otherwise one statement compares, updates what
differs and inserts what is missing. When the server refuses a set, it is halved until
the refused rows stand alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import Rollback

from syncengine.connectors.base import LoadResult, Outcome, OutcomeKind
from syncengine.connectors.postgres.arrays import array_literal
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.copying import copy_in
from syncengine.connectors.postgres.errors import translate_error
from syncengine.connectors.postgres.merging import LoadStatements
from syncengine.connectors.postgres.names import MARK_PREFIX
from syncengine.connectors.postgres.references import References, Resolution
from syncengine.connectors.postgres.statements import LegStatements
from syncengine.errors import SetupError
from syncengine.mapping.compiled import CompiledLeg, Row

COPY_FROM_ROWS = 100
"""Fewer rows are not worth the attempt to copy them straight in."""

SAMPLE = 16
"""So many keys tell whether a set of rows looks new to the target."""

_MARK = "SELECT pg_logical_emit_message(true, %s, %s)"


@dataclass(slots=True, eq=False)
class Record:
    """A mapped row and what the target gets: references instead of natural keys."""

    row: Row
    values: Row


@dataclass
class _Written:
    """What became of the records of one attempt."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0


def bulk_load(
    connection: PostgresConnection,
    statements: LegStatements,
    leg: CompiledLeg,
    rows: Sequence[Row],
    *,
    insert_only: bool,
    link: str,
    defer: frozenset[int] = frozenset(),
) -> LoadResult:
    """Write mapped rows under the mark of `link`; see `Writer.load` for the promise.

    `connection` is in autocommit mode. Raises TransientError, OutageError, or
    SetupError when the table or a column is gone.
    """
    load = _Load(connection, statements, leg, insert_only, defer)
    try:
        with connection.transaction():
            connection.execute(_MARK, (MARK_PREFIX, link))
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            connection.execute("SET LOCAL random_page_cost = 1.1")
            load.run(rows)
    except psycopg.Error as error:
        _refusal(error)
        raise
    return load.result


class _Load:
    def __init__(
        self,
        connection: PostgresConnection,
        statements: LegStatements,
        leg: CompiledLeg,
        insert_only: bool,
        defer: frozenset[int],
    ) -> None:
        self._connection = connection
        self._statements = LoadStatements(leg, statements.table)
        self._leg = leg
        self._insert_only = insert_only
        self._references = References(connection, statements, leg, defer)
        self._begun: list[Record] = []
        self._left: list[Record] = []
        self._failed: dict[Record, Outcome] = {}
        self._resolved = False
        self.result = LoadResult()

    def run(self, rows: Sequence[Row]) -> None:
        """Load the rows; rows that turn out to depend on a refused one are undone
        with the whole attempt, and the others loaded again without them."""
        whole = self._has_whole_keys(rows)
        values = self._references.replaced(rows) if whole else None
        if values is not None and self._copied(values):
            self.result = LoadResult(inserted=len(rows))
            return
        self._resolved = values is not None
        if whole:
            records = list(map(Record, rows, values or rows))
        else:
            records = self._screened(rows)
        before = list(self.result.failures)
        while True:
            self._failed = {}
            self._begun, self._left = [], []
            written = _Written()
            with self._connection.transaction() as attempt:
                lost = self._attempt(records, written)
                if lost:
                    raise Rollback(attempt)
            if not lost:
                break
            before += [(record.row, outcome) for record, outcome in lost.items()]
            records = [record for record in records if record not in lost]
        failed = [(record.row, outcome) for record, outcome in self._failed.items()]
        self.result = LoadResult(
            written.inserted,
            written.updated,
            written.unchanged,
            before + failed,
            [record.row for record in self._begun],
            [record.row for record in self._left],
        )

    def _has_whole_keys(self, rows: Sequence[Row]) -> bool:
        """True when every row has all of its key, and no two rows share it."""
        columns = [[row[i] for row in rows] for i in self._leg.key]
        if any(None in column for column in columns):
            return False
        keys = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
        return len(set(keys)) == len(rows)

    def _screened(self, rows: Sequence[Row]) -> list[Record]:
        """Rows with a whole key of their own; the others are refused."""
        keys = [self._leg.key_of(row) for row in rows]
        records: list[Record] = []
        seen: set[Row] = set()
        for row, value in zip(rows, keys, strict=True):
            if None in value:
                self._refuse(row, "required_value_missing", "has no value")
            elif value in seen:
                self._refuse(row, "duplicate_key_in_source", "occurs more than once")
            else:
                seen.add(value)
                records.append(Record(row, row))
        return records

    def _refuse(self, row: Row, code: str, words: str) -> None:
        columns = ", ".join(self._leg.slots[i].column for i in self._leg.key)
        value = " / ".join(str(row[i]) for i in self._leg.key if row[i] is not None)
        outcome = Outcome(
            0,
            OutcomeKind.FAILED,
            code=code,
            column=columns,
            message=f"The integration key ({columns}) {words} in the source: {value}.",
        )
        self.result.failures.append((row, outcome))

    def _attempt(
        self, records: Sequence[Record], written: _Written
    ) -> dict[Record, Outcome]:
        """Write all records; those that must be undone again, with the reason."""
        if self._resolved:
            found = Resolution(ready=list(records))
        else:
            found = self._references.resolve(records)
        self._failed.update(found.failed)
        first = found.ready + found.later
        self._write(first, written, new=not self._resolved)
        waiting = found.blocked
        while waiting:
            again = self._references.resolve(waiting)
            if not again.ready:
                missing = self._references.unresolved(waiting)
                self._failed.update(missing)
                break
            self._write(again.ready, written, new=True)
            waiting = again.blocked
        self._begin(found.deferred, written)
        return self._complete(found.later)

    def _begin(self, deferred: list[Record], written: _Written) -> None:
        """Insert the records that wait for a reference and are not there yet."""
        if not deferred:
            return
        query = self._statements.present()
        keys = _arrays([record.values for record in deferred], self._leg.key)
        found = self._connection.execute(query, keys, prepare=False).fetchall()
        present = {int(number) - 1 for (number,) in found}
        if self._insert_only:
            written.unchanged += len(present)
        else:
            self._left = [deferred[i] for i in sorted(present)]
        new = [record for i, record in enumerate(deferred) if i not in present]
        self._write(new, _Written(), new=True)
        self._begun = [record for record in new if record not in self._failed]

    def _complete(self, later: list[Record]) -> dict[Record, Outcome]:
        """Fill references to rows of this very set, now that those exist."""
        records = [record for record in later if record not in self._failed]
        if not records:
            return {}
        found = self._references.resolve(records)
        lost = found.failed | self._references.unresolved(
            [*found.later, *found.blocked]
        )
        if not lost:
            known = set(self._failed)
            self._write(found.ready, _Written(), new=False)
            for record in set(self._failed) - known:
                lost[record] = self._failed.pop(record)
        return lost

    def _write(self, records: list[Record], written: _Written, *, new: bool) -> None:
        """Write what can be written; `new` when the records may be new."""
        if not records:
            return
        if new and self._copied([record.values for record in records]):
            written.inserted += len(records)
            return
        refused = self._halve(records, written)
        while refused:
            self._failed.update(refused)
            orphans = [
                record
                for record, outcome in refused.items()
                if outcome.code == "reference_missing"
            ]
            if not orphans or len(refused) == len(records):
                return
            # A row they refer to may have come after them in the same set.
            for record in orphans:
                del self._failed[record]
            records, refused = orphans, self._halve(orphans, written)

    def _looks_new(self, rows: Sequence[Row]) -> bool:
        leg = self._leg
        columns = frozenset(leg.slots[i].column for i in leg.key)
        if len(rows) < COPY_FROM_ROWS or not leg.target.is_unique(columns):
            return False
        sample = rows[:: max(1, len(rows) // SAMPLE)]
        query = self._statements.any_present()
        keys = _arrays(sample, leg.key)
        row = self._connection.execute(query, keys, prepare=False).fetchone()
        return row is not None and row[0] == "f"

    def _copied(self, rows: Sequence[Row]) -> bool:
        """COPY rows that look new into the table itself; False (and nothing done)
        when they do not, or are refused."""
        if not self._looks_new(rows):
            return False
        try:
            with self._connection.transaction():
                copy_in(self._connection, self._statements.target, rows)
        except psycopg.Error as error:
            _refusal(error)
            return False
        return True

    def _halve(
        self, records: Sequence[Record], written: _Written
    ) -> dict[Record, Outcome]:
        """Merge records into the table; the refused ones, each found by halving."""
        try:
            with self._connection.transaction():
                inserted, updated = self._merge(records)
        except psycopg.Error as error:
            outcome = _refusal(error)
            if len(records) == 1:
                return {records[0]: outcome}
            middle = len(records) // 2
            return {
                **self._halve(records[:middle], written),
                **self._halve(records[middle:], written),
            }
        written.inserted += inserted
        written.updated += updated
        written.unchanged += len(records) - inserted - updated
        return {}

    def _merge(self, records: Sequence[Record]) -> tuple[int, int]:
        query = self._statements.merge(insert_only=self._insert_only)
        rows = [record.values for record in records]
        arrays = _arrays(rows, range(len(self._leg.slots)))
        row = self._connection.execute(query, arrays, prepare=False).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)


def _arrays(rows: Sequence[Row], slots: Iterable[int]) -> list[str]:
    columns = list(zip(*rows, strict=True))
    return [array_literal(columns[i]) for i in slots]


def _refusal(error: psycopg.Error) -> Outcome:
    """The outcome of a refused row; raises what no row is to blame for."""
    meaning = translate_error(error)
    if not isinstance(meaning, Outcome):
        raise error
    in_trigger = "function" in (error.diag.context or "")
    if (error.sqlstate or "")[:2] in ("0A", "3F", "42") and not in_trigger:
        raise SetupError(
            meaning.message, code=meaning.code, remote=meaning.remote
        ) from error
    return meaning
