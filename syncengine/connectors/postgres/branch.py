"""One side of an atomic unit on PostgreSQL: a transaction prepared for two phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby

import psycopg
from psycopg import sql

from syncengine.connectors.base import (
    ConnectionSettings,
    Operation,
    Outcome,
    OutcomeKind,
    Reader,
    Relation,
    WriteRefused,
)
from syncengine.connectors.branch import (
    Branch,
    PreparedBranch,
    RowWrite,
    WriteKind,
    WrittenRow,
)
from syncengine.connectors.postgres.arrays import array_literal, cast_name
from syncengine.connectors.postgres.batch import Group
from syncengine.connectors.postgres.catalog import read_schema
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.errors import translated, translated_setup
from syncengine.connectors.postgres.reader import PostgresReader
from syncengine.connectors.postgres.writer import PostgresWriter
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import HealthFinding, Severity
from syncengine.mapping.schema import TableSchema

_COMMA = sql.SQL(", ")
_AND = sql.SQL(" AND ")
_PENDING = """
SELECT gid, prepared FROM pg_prepared_xacts
WHERE database = current_database() AND left(gid, length(%(prefix)s)) = %(prefix)s
ORDER BY prepared
"""


class PostgresBranch:
    """Promises of `syncengine.connectors.branch.Branch`."""

    def __init__(
        self,
        connection: PostgresConnection,
        settings: ConnectionSettings,
        prefix: str,
        prepare: Callable[[Sequence[Operation]], list[Group]],
        apply: Callable[[Group], list[Outcome]],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._prefix = prefix
        self._prepare = prepare
        self._apply = apply
        self._tables: dict[str, tuple[TableSchema, Relation]] = {}
        self._reader = PostgresReader(connection, settings)

    @property
    def reader(self) -> Reader:
        """Reads what the transaction sees."""
        return self._reader

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write mapped records."""
        outcomes: list[Outcome] = []
        with translated(self._settings.name):
            for group in self._prepare(operations):
                outcomes.extend(self._apply(group))
        return outcomes

    def prepare(self, name: str) -> None:
        """Keep all of it until it is decided."""
        statement = sql.SQL("PREPARE TRANSACTION {}").format(
            sql.Literal(self._prefix + name)
        )
        with translated(self._settings.name):
            self._connection.execute(statement)

    # -- rows as they are -------------------------------------------------------------

    def write(self, rows: Sequence[RowWrite]) -> list[WrittenRow]:
        """Write rows in order, alike ones at once."""
        written: list[WrittenRow] = []
        with translated(self._settings.name):
            for portion in _alike(rows):
                table, relation = self._table(portion[0])
                written += self._write(portion, table, relation)
        return written

    def _table(self, row: RowWrite) -> tuple[TableSchema, Relation]:
        found = self._tables.get(row.table)
        if found is None:
            tables = read_schema(self._connection, self._settings.schema, [row.table])
            schema = tables.get(row.table)
            if schema is None:
                raise _refused(
                    "table_missing",
                    f"{self._settings.name} has no table {row.table}.",
                    row,
                )
            relation = Relation(
                row.table, tuple(column.name for column in schema.columns), True
            )
            found = self._tables[row.table] = (schema, relation)
        for name in (*row.key, *row.values):
            if found[0].column(name) is None:
                raise _refused(
                    "column_missing", f"{row.table} has no column {name}.", row, name
                )
        return found

    def _write(
        self, portion: Sequence[RowWrite], table: TableSchema, relation: Relation
    ) -> list[WrittenRow]:
        kind = portion[0].kind
        if kind is WriteKind.INSERT:
            new = self._insert(portion, table, relation)
            return [
                WrittenRow(row.reference, relation, None, after)
                for row, after in zip(portion, new, strict=True)
            ]
        before = self._lock(portion, table, relation)
        after_of = (
            self._update(portion, table, relation)
            if kind is WriteKind.UPDATE
            else self._delete(portion, table)
        )
        written = []
        for number, row in enumerate(portion):
            if number in before:
                written.append(
                    WrittenRow(
                        row.reference, relation, before[number], after_of.get(number)
                    )
                )
            elif kind is WriteKind.UPDATE:
                shown = ", ".join(f"{k} {v}" for k, v in row.key.items())
                raise _refused(
                    "record_missing", f"{row.table} has no record with {shown}.", row
                )
        return written

    def _insert(
        self, portion: Sequence[RowWrite], table: TableSchema, relation: Relation
    ) -> list[Row]:
        names = list(portion[0].values)
        statement = sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {given} "
            "ORDER BY v.n RETURNING {all}"
        ).format(
            table=self._name(table),
            columns=_COMMA.join(map(sql.Identifier, names)),
            values=_COMMA.join(_cast(table, name, "w") for name in names),
            given=_given([], names),
            all=_all(relation, None),
        )
        found = self._connection.execute(statement, _arrays(portion, [], names))
        return [tuple(row) for row in found.fetchall()]

    def _lock(
        self, portion: Sequence[RowWrite], table: TableSchema, relation: Relation
    ) -> dict[int, Row]:
        keys = list(portion[0].key)
        statement = sql.SQL(
            "SELECT v.n, {all} FROM {table} t JOIN {given} ON {match} FOR UPDATE OF t"
        ).format(
            all=_all(relation, "t"),
            table=self._name(table),
            given=_given(keys, []),
            match=_match(table, keys),
        )
        return self._numbered(statement, _arrays(portion, keys, []))

    def _update(
        self, portion: Sequence[RowWrite], table: TableSchema, relation: Relation
    ) -> dict[int, Row]:
        keys, names = list(portion[0].key), list(portion[0].values)
        statement = sql.SQL(
            "UPDATE {table} t SET {set} FROM {given} WHERE {match} RETURNING v.n, {all}"
        ).format(
            table=self._name(table),
            set=_COMMA.join(
                sql.SQL("{} = {}").format(sql.Identifier(name), _cast(table, name, "w"))
                for name in names
            ),
            given=_given(keys, names),
            match=_match(table, keys),
            all=_all(relation, "t"),
        )
        return self._numbered(statement, _arrays(portion, keys, names))

    def _delete(
        self, portion: Sequence[RowWrite], table: TableSchema
    ) -> dict[int, Row]:
        keys = list(portion[0].key)
        statement = sql.SQL("DELETE FROM {} t USING {} WHERE {}").format(
            self._name(table), _given(keys, []), _match(table, keys)
        )
        self._connection.execute(statement, _arrays(portion, keys, []))
        return {}

    def _numbered(
        self, statement: sql.Composed, parameters: list[str]
    ) -> dict[int, Row]:
        rows = self._connection.execute(statement, parameters).fetchall()
        return {int(number) - 1: tuple(row) for number, *row in rows}

    def _name(self, table: TableSchema) -> sql.Identifier:
        return sql.Identifier(self._settings.schema, table.name)


class PostgresTwoPhase:
    """Promises of `syncengine.connectors.branch.TwoPhase`."""

    def __init__(self, settings: ConnectionSettings, link: str) -> None:
        self._settings = settings
        self._prefix = f"dualwrite:{link}:{settings.side.value}:"
        self._writer = PostgresWriter(settings, link)

    def findings(self) -> list[HealthFinding]:
        """Whether the server keeps prepared transactions at all."""
        with translated_setup(self._settings.name):
            row = self._writer.connection.execute(
                "SELECT current_setting('max_prepared_transactions')::int"
            ).fetchone()
        if row is not None and int(row[0]) > 0:
            return []
        return [
            HealthFinding(
                "PG_PREPARED_TRANSACTIONS",
                Severity.ERROR,
                "The server keeps no prepared transactions "
                "(max_prepared_transactions is 0), which atomic writes need.",
                self._settings.name,
                "Let a database administrator run the script and restart the server.",
                "ALTER SYSTEM SET max_prepared_transactions = 50;\n",
            )
        ]

    @contextmanager
    def begin(self, seconds: float) -> Iterator[Branch]:
        """Open a branch under our mark."""
        with self._writer.branch(seconds) as (connection, prepare, apply):
            yield PostgresBranch(
                connection, self._settings, self._prefix, prepare, apply
            )

    def commit(self, name: str) -> bool:
        """Make a prepared branch last."""
        return self._decide("COMMIT PREPARED {}", name)

    def rollback(self, name: str) -> bool:
        """Undo a prepared branch."""
        return self._decide("ROLLBACK PREPARED {}", name)

    def _decide(self, statement: str, name: str) -> bool:
        query = sql.SQL(statement).format(sql.Literal(self._prefix + name))
        with translated_setup(self._settings.name):
            try:
                self._writer.connection.execute(query)
            except psycopg.errors.UndefinedObject:
                return False
        return True

    def pending(self) -> list[PreparedBranch]:
        """Branches that wait for their decision, oldest first."""
        with translated_setup(self._settings.name):
            rows = self._writer.connection.execute(
                _PENDING, {"prefix": self._prefix}
            ).fetchall()
        return [
            PreparedBranch(
                gid.removeprefix(self._prefix),
                datetime.fromisoformat(prepared).astimezone(UTC),
            )
            for gid, prepared in rows
        ]

    def close(self) -> None:
        """Give the connection back."""
        self._writer.close()


def _alike(rows: Sequence[RowWrite]) -> Iterator[list[RowWrite]]:
    """Neighbours that one statement can write: same table, kind and columns, and no
    record twice."""

    def shape(row: RowWrite) -> tuple[object, ...]:
        return row.table, row.kind, tuple(row.key), tuple(row.values)

    for _, group in groupby(rows, shape):
        portion: list[RowWrite] = []
        seen: set[tuple[str | None, ...]] = set()
        for row in group:
            key = tuple(row.key.values())
            if row.kind is not WriteKind.INSERT and key in seen:
                yield portion
                portion, seen = [], set()
            seen.add(key)
            portion.append(row)
        yield portion


def _given(keys: Sequence[str], names: Sequence[str]) -> sql.Composed:
    """The given texts as rows `v`, numbered; keys as `k0`, values as `w0`."""
    columns = [f"k_{name}" for name in keys] + [f"w_{name}" for name in names]
    return sql.SQL("unnest({}) WITH ORDINALITY v({}, n)").format(
        _COMMA.join(sql.SQL("%s::text[]") for _ in columns),
        _COMMA.join(map(sql.Identifier, columns)),
    )


def _arrays(
    portion: Sequence[RowWrite], keys: Sequence[str], names: Sequence[str]
) -> list[str]:
    return [
        *(array_literal([row.key[name] for row in portion]) for name in keys),
        *(array_literal([row.values[name] for row in portion]) for name in names),
    ]


def _cast(table: TableSchema, name: str, prefix: str) -> sql.Composed:
    column = table.column(name)
    assert column is not None  # noqa: S101 - asked before the row was taken
    return sql.SQL("{}::{}").format(
        sql.Identifier("v", f"{prefix}_{name}"),
        sql.SQL(cast_name(column.type)),
    )


def _match(table: TableSchema, keys: Sequence[str]) -> sql.Composed:
    return _AND.join(
        sql.SQL("{} = {}").format(sql.Identifier("t", name), _cast(table, name, "k"))
        for name in keys
    )


def _all(relation: Relation, alias: str | None) -> sql.Composed:
    names = ((alias, name) if alias else (name,) for name in relation.columns)
    return _COMMA.join(sql.Identifier(*parts) for parts in names)


def _refused(code: str, message: str, row: RowWrite, column: str = "") -> WriteRefused:
    return WriteRefused(
        Outcome(
            row.reference,
            OutcomeKind.FAILED,
            code=code,
            column=column,
            message=message,
        )
    )
