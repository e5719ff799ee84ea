"""Values of generated columns, which the server's log leaves out.

Their formulas stand on other columns of the same row, so the server itself computes
them anew for each image of a row that was read from the log, before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from syncengine.connectors.base import Change, ConnectionSettings, Relation
from syncengine.connectors.postgres.arrays import array_literal
from syncengine.connectors.postgres.connection import PostgresConnection, connect
from syncengine.connectors.postgres.errors import translated_setup
from syncengine.errors import SetupError
from syncengine.mapping.compiled import Row

_FORMULAS = """
SELECT g.name, a.attname, format_type(a.atttypid, -1),
       format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END
FROM unnest(%(names)s::text[]) AS g(name)
JOIN pg_class c ON c.relname = g.name
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %(schema)s
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE EXISTS (SELECT FROM pg_attribute o
              WHERE o.attrelid = c.oid AND o.attgenerated <> '')
ORDER BY g.name, a.attnum
"""

_COMMA = sql.SQL(", ")


@dataclass(frozen=True, slots=True)
class _Formula:
    """How rows of one relation become rows of `widened`, which has the generated
    columns too: `computed` from those at `inputs`, read as `given`."""

    widened: Relation
    inputs: tuple[int, ...]
    given: sql.Composed
    computed: sql.Composed

    def statement(self, rows: Sequence[Row]) -> sql.Composed:
        """The query for the values of these rows, in their order."""
        arrays = [
            sql.SQL("{}::text[]").format(
                sql.Literal(array_literal([row[i] for row in rows]))
            )
            for i in self.inputs
        ]
        names = [sql.Identifier(f"a{i}") for i in self.inputs]
        return sql.SQL(
            "SELECT {} FROM (SELECT {}, number_of_row FROM unnest({}) "
            "WITH ORDINALITY AS u({}, number_of_row)) AS t ORDER BY number_of_row"
        ).format(self.computed, self.given, _COMMA.join(arrays), _COMMA.join(names))


class GeneratedColumns:
    """Adds the generated columns to changes; without any it does nothing.

    Its connection is opened when a table is first heard of, and kept only where some
    table has generated columns.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._formulas: dict[Relation, _Formula] = {}
        self._connection: PostgresConnection | None = None

    def learn(self, relations: Sequence[Relation]) -> None:
        """Look up the formulas of tables the log has just announced. Raises
        OutageError."""
        names = {"names": sorted({relation.table for relation in relations})}
        with translated_setup(self._settings.name):
            rows = self._connected().execute(
                _FORMULAS, {**names, "schema": self._settings.schema}
            )
            columns: dict[str, list[tuple[str, ...]]] = {}
            for table, *column in rows:
                columns.setdefault(table, []).append(tuple(column))
        for relation in relations:
            formula = _formula(relation, columns.get(relation.table, ()))
            self._formulas.pop(relation, None)
            if formula is not None:
                self._formulas[relation] = formula
        if not self._formulas:
            self.close()

    def complete(self, every: Iterable[Change]) -> None:
        """Give the changes their generated columns; one query for each table. A
        change whose formula no longer fits its row stays as it is. Raises
        OutageError."""
        if not self._formulas:
            return
        found: dict[Relation, list[Row]] = {}
        changes = [change for change in every if change.relation in self._formulas]
        for change in changes:
            images = found.setdefault(change.relation, [])
            images += [row for row in (change.new, change.old) if row is not None]
        computed = {
            relation: dict(zip(rows, self._compute(relation, rows), strict=False))
            for relation, rows in found.items()
        }
        for change in changes:
            relation, values = change.relation, computed[change.relation]
            if not values and found[relation]:
                continue
            change.relation = self._formulas[relation].widened
            change.new = _widened(change.new, values)
            change.old = _widened(change.old, values)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _compute(self, relation: Relation, rows: Sequence[Row]) -> list[Row]:
        statement = self._formulas[relation].statement(rows)
        try:
            with translated_setup(self._settings.name):
                return self._connected().execute(statement).fetchall()
        except SetupError:
            return []

    def _connected(self) -> PostgresConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._settings,
                autocommit=True,
                application_name="dualwrite generated columns",
            )
        return self._connection


def _widened(row: Row | None, values: dict[Row, Row]) -> Row | None:
    return None if row is None else row + values[row]


def _formula(relation: Relation, columns: Sequence[tuple[str, ...]]) -> _Formula | None:
    """The formula of a relation; None when the log carries all its columns."""
    lacking = [
        (name, exact, expression)
        for name, _, exact, expression in columns
        if expression and name not in relation.columns
    ]
    if not lacking:
        return None
    types = {name: loose for name, loose, _, _ in columns}
    inputs = [i for i, name in enumerate(relation.columns) if name in types]
    given = [
        sql.SQL("CAST({} AS {}) AS {}").format(
            sql.Identifier(f"a{i}"),
            sql.SQL(types[relation.columns[i]]),
            sql.Identifier(relation.columns[i]),
        )
        for i in inputs
    ]
    computed = [
        sql.SQL("CAST({} AS {})").format(sql.SQL(expression), sql.SQL(exact))
        for _, exact, expression in lacking
    ]
    widened = Relation(
        relation.table,
        (*relation.columns, *(name for name, _, _ in lacking)),
        relation.full_identity,
    )
    return _Formula(widened, tuple(inputs), _COMMA.join(given), _COMMA.join(computed))
