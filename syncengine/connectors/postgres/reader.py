"""Snapshot reads: chunks by key range, streams, sorted streams, single records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from psycopg import sql

from syncengine.connectors.base import (
    BucketSum,
    ChunkRange,
    ConnectionSettings,
    ReadRequest,
)
from syncengine.connectors.postgres import digesting
from syncengine.connectors.postgres.arrays import array_literal, cast_name
from syncengine.connectors.postgres.catalog import read_schema
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.copying import copy_out
from syncengine.connectors.postgres.errors import translated_setup
from syncengine.connectors.postgres.position import format_position, parse_position
from syncengine.connectors.postgres.selection import Selection
from syncengine.mapping.compiled import (
    KeyPath,
    Lookup,
    LookupTarget,
    Row,
    split_parts,
)
from syncengine.mapping.dangling import dangles
from syncengine.mapping.digests import RowDigest
from syncengine.mapping.schema import TableSchema

_COMMA = sql.SQL(", ")
_AND = sql.SQL(" AND ")
_IN = sql.SQL(
    "({parts}) IN (SELECT DISTINCT {names} FROM unnest({arrays}) AS k({names}))"
)
_NOT_DISTINCT = sql.SQL(
    "EXISTS (SELECT FROM unnest({arrays}) AS k({names})"
    " WHERE ROW({parts}) IS NOT DISTINCT FROM ROW({names}))"
)
_SNAPSHOT = "SELECT pg_current_snapshot()::text"
_POSITION = sql.SQL("SELECT pg_logical_emit_message(true, 'dualwrite.position', '')")
_WRAP = 1 << 32
_SORT_MEMORY = sql.SQL("SET work_mem = '64MB'")


class PostgresReader:
    """Reads one environment over its own connection, in autocommit: each call sees
    the rows of its own moment. Promises of `syncengine.connectors.base.Reader`.

    Chunk ranges run along the table's primary key where it has one (its index makes
    each range cheap), else along `ReadRequest.key`; callers only hand them back.
    """

    can_digest = True

    def __init__(
        self, connection: PostgresConnection, settings: ConnectionSettings
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._tables: dict[str, TableSchema] = {}

    def plan(self, request: ReadRequest, chunk_rows: int) -> Sequence[ChunkRange]:
        """Split the rows into ranges of about `chunk_rows`, in one ordered pass."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            paths = _chunk_key(selection)
            columns = [selection.column(path) for path in paths]
            names = [sql.Identifier(f"k{i}") for i in range(len(paths))]
            numbered = selection.query(
                sql.SQL(
                    "{}, row_number() OVER w AS n, lead(1) OVER w IS NULL AS last"
                ).format(_COMMA.join(_as(c, n) for c, n in _pairs(columns, names))),
                tail=sql.SQL("WINDOW w AS (ORDER BY {})").format(_COMMA.join(columns)),
            )
            rows = self._connection.execute(
                sql.SQL(
                    "SELECT n, {} FROM ({}) AS rows WHERE n % {} = 0 OR last ORDER BY n"
                ).format(_COMMA.join(names), numbered, sql.SQL(str(chunk_rows)))
            ).fetchall()
        return _ranges([(int(n), tuple(key)) for n, *key in rows])

    def read(
        self, request: ReadRequest, chunk: ChunkRange | None = None
    ) -> Iterator[list[Row]]:
        """Stream the rows (of one chunk) in lists of some thousand."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            conditions = _range_conditions(selection, chunk) if chunk else []
            yield from copy_out(self._connection, selection.query(columns, *conditions))

    def read_sorted(self, request: ReadRequest) -> Iterator[list[Row]]:
        """Stream all rows ordered by the key's text by code point, nulls last."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            order = _COMMA.join(
                sql.SQL('{}::text COLLATE "C"').format(selection.column(path))
                for path in request.key
            )
            self._connection.execute(_SORT_MEMORY)
            query = selection.query(columns, tail=sql.SQL("ORDER BY {}").format(order))
            yield from copy_out(self._connection, query)

    def fetch(self, request: ReadRequest, keys: Sequence[Row]) -> list[Row]:
        """Present rows whose key columns equal one of `keys`, null equal to null. No
        row has a key with a reference that leads nowhere."""
        known = [key for key in keys if not dangles(key)]
        whole = [key for key in known if None not in key]
        lacking = [key for key in known if None in key]
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            found = self._with_keys(selection, request, whole, _IN) if whole else []
            if lacking:
                found += self._with_keys(selection, request, lacking, _NOT_DISTINCT)
            return found

    def _with_keys(
        self,
        selection: Selection,
        request: ReadRequest,
        keys: Sequence[Row],
        match: sql.SQL,
    ) -> list[Row]:
        columns = self._columns(selection)
        parts = [part for path in request.key for part in selection.parts(path)]
        counts = [len(selection.parts(path)) for path in request.key]
        values = zip(*(_split(key, counts) for key in keys), strict=True)
        names = [sql.Identifier(f"k{i}") for i in range(len(parts))]
        arrays = _COMMA.join(
            sql.SQL("{}::{}[]").format(
                sql.Literal(array_literal(column)), sql.SQL(cast_name(type_))
            )
            for (_, type_), column in zip(parts, values, strict=True)
        )
        condition = match.format(
            parts=_COMMA.join(part for part, _ in parts),
            names=_COMMA.join(names),
            arrays=arrays,
        )
        query = selection.query(columns, condition)
        return self._connection.execute(query).fetchall()

    def digest(
        self, request: ReadRequest, digest: RowDigest, part_rows: int
    ) -> Iterator[list[BucketSum]]:
        """Sums of the rows' hashes, added up by the server."""
        with translated_setup(self._settings.name):
            yield from digesting.sums(
                self._connection,
                self._selection(request),
                digest,
                self._settings.schema,
                part_rows,
            )

    def read_buckets(
        self, request: ReadRequest, digest: RowDigest, buckets: Sequence[int]
    ) -> Iterator[list[Row]]:
        """Stream the rows of some buckets."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            yield from digesting.bucket_rows(
                self._connection, selection, digest, columns, buckets
            )

    def sample(self, request: ReadRequest, rows: int) -> list[Row]:
        """At most so many of the rows, whichever are found first."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            query = selection.query(columns, tail=_at_most(rows))
            return self._connection.execute(query).fetchall()

    def count(self, request: ReadRequest, at_most: int | None = None) -> int:
        """How many rows match; counted no further than `at_most`."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            if at_most is None:
                return int(self._one(selection.query(sql.SQL("count(*)"))))
            found = selection.query(sql.SQL(""), tail=_at_most(at_most))
            count = sql.SQL("SELECT count(*) FROM ({}) AS found").format(found)
            return int(self._one(count))

    def limit(self, seconds: float | None) -> None:
        """Let no call from now on take longer, or again as long as it takes."""
        with translated_setup(self._settings.name):
            milliseconds = 0 if seconds is None else max(1, round(seconds * 1000))
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, false)",
                [str(milliseconds)],
            )

    def query_text(self, request: ReadRequest) -> str:
        """The SELECT statement of `request`."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            return selection.query(columns).as_string(self._connection)

    def resolve(
        self, lookup: Lookup, references: Sequence[str]
    ) -> dict[str, str | None]:
        """Reference values -> natural key values, for those that exist."""
        if not references:
            return {}
        found: dict[str, str | None] = {}
        with translated_setup(self._settings.name):
            for target in lookup.targets:
                query = self._resolving(target, sorted(set(references)))
                found.update(self._connection.execute(query).fetchall())
        return found

    def _resolving(
        self, target: LookupTarget, references: Sequence[str]
    ) -> sql.Composed:
        """The natural keys of some rows of `target`, which has a single key."""
        (path,) = target.keys
        onward: tuple[Lookup, ...] = ()
        if path.hops:
            first, *rest = path.hops
            key = KeyPath(path.column, tuple(rest))
            next_target = LookupTarget(first.table, first.reference, (key,))
            onward = (Lookup(first.column, (next_target,)),)
        request = ReadRequest(
            target.table, (path.path,), onward, key=(target.reference,)
        )
        selection = self._selection(request)
        ((reference, type_),) = selection.parts(target.reference)
        return sql.SQL(
            "SELECT given.text, {key} FROM {joined} "
            "JOIN unnest({given}::text[]) AS given(text) "
            "ON {reference} = given.text::{type}"
        ).format(
            key=selection.column(path.path),
            joined=selection.joined(),
            given=sql.Literal(array_literal(references)),
            reference=reference,
            type=sql.SQL(cast_name(type_)),
        )

    def invisible(self, transaction_ids: Collection[str]) -> set[str]:
        """Those that the present snapshot does not show, by their identifiers of 32
        bits, as the log has them."""
        with translated_setup(self._settings.name):
            _, end, running = str(self._one(sql.SQL(_SNAPSHOT))).split(":")
        begun = {int(one) % _WRAP for one in running.split(",") if one}
        return {
            text
            for text in transaction_ids
            if int(text) in begun or (int(text) - int(end)) % _WRAP < _WRAP // 2
        }

    def position(self) -> str:
        """A position behind every change visible now, which the stream will reach.

        It is that of a small message of ours: the server's write position may lie
        before changes already visible (asynchronous commits), and nothing else need
        follow on an idle server.
        """
        with translated_setup(self._settings.name):
            return format_position(parse_position(self._one(_POSITION)))

    def _one(self, query: sql.SQL | sql.Composed) -> str:
        row = self._connection.execute(query).fetchone()
        return str(row[0]) if row else ""

    def query(self, request: ReadRequest) -> str:
        """The SELECT statement of `request`."""
        with translated_setup(self._settings.name):
            selection = self._selection(request)
            columns = self._columns(selection)
            return selection.query(columns).as_string(self._connection)

    def _columns(self, selection: Selection) -> sql.Composable:
        return _COMMA.join(selection.column(path) for path in selection.request.columns)

    def _selection(self, request: ReadRequest) -> Selection:
        needed = {request.table}.union(*(each.all_tables for each in request.lookups))
        if request.company and request.company.lookup_table:
            needed.add(request.company.lookup_table)
        missing = [name for name in sorted(needed) if name not in self._tables]
        if missing:
            schema = self._settings.schema
            found = read_schema(self._connection, schema, missing)
            self._tables.update(found)
        return Selection(request, self._settings.schema, self._tables)


def _split(key: Row, counts: Sequence[int]) -> list[str | None]:
    """The values of a key, of composite natural keys their parts (so many)."""
    values: list[str | None] = []
    for value, count in zip(key, counts, strict=True):
        if count == 1:
            values.append(value)
        else:
            values += [None] * count if value is None else split_parts(value)
    return values


def _at_most(rows: int) -> sql.Composed:
    return sql.SQL("LIMIT {}").format(sql.Literal(rows))


def _chunk_key(selection: Selection) -> tuple[str, ...]:
    return selection.table.primary_key or selection.request.key


def _ranges(boundaries: Sequence[tuple[int, Row]]) -> list[ChunkRange]:
    ranges = []
    after: Row | None = None
    done = 0
    for index, (number, key) in enumerate(boundaries):
        last = index == len(boundaries) - 1
        if None in key and not last:
            continue
        ranges.append(ChunkRange(after, None if last else key, number - done))
        after, done = key, number
    return ranges


def _range_conditions(selection: Selection, chunk: ChunkRange) -> list[sql.Composable]:
    """Conditions of a range. Nulls sort last and belong to the last range; a range's
    end is `key <= end` being true, its start the opposite of the end before it, so
    that ranges neither overlap nor leave a gap whatever is null."""
    paths = _chunk_key(selection)
    columns = [selection.column(path) for path in paths]
    row = sql.SQL("({})").format(_COMMA.join(columns))
    conditions: list[sql.Composable] = []
    if chunk.after is not None:
        after = _literal(chunk.after)
        if all(_never_null(selection, path) for path in paths):
            conditions.append(sql.SQL("{} > {}").format(row, after))
        else:
            first = sql.SQL("{} >= {}").format(columns[0], sql.Literal(chunk.after[0]))
            if chunk.through is None:
                first = sql.SQL("({} OR {} IS NULL)").format(first, columns[0])
            rest = sql.SQL("({} <= {}) IS NOT TRUE").format(row, after)
            conditions += [first, rest]
    if chunk.through is not None:
        conditions.append(sql.SQL("{} <= {}").format(row, _literal(chunk.through)))
    return conditions


def _never_null(selection: Selection, path: str) -> bool:
    column = selection.table.column(path)
    return column is not None and not column.nullable


def _literal(key: Row) -> sql.Composable:
    return sql.SQL("({})").format(_COMMA.join(sql.Literal(value) for value in key))


def _pairs(
    columns: Sequence[sql.Composable], names: Sequence[sql.Composable]
) -> Iterator[tuple[sql.Composable, sql.Composable]]:
    return zip(columns, names, strict=True)


def _as(column: sql.Composable, name: sql.Composable) -> sql.Composable:
    return sql.SQL("{} AS {}").format(column, name)
