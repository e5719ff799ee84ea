"""Hashes of mapped rows added up by the server, one sum for each bucket of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from syncengine.connectors.base import BucketSum
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.copying import copy_out
from syncengine.connectors.postgres.selection import Selection
from syncengine.mapping.compiled import PART_SEPARATOR, Row
from syncengine.mapping.digests import HashedColumn, HashForm, RowDigest
from syncengine.mapping.schema import ColumnType, TypeFamily

_NOTHING = "\x02"
"""Begins the text of a value that nothing equals."""

_HASH = {
    HashForm.TEXT: 'hashtextextended({} COLLATE "C", {})',
    HashForm.INTEGER: "hashint8extended({}::int8, {})",
    HashForm.NUMBER: "hash_numeric_extended({}::numeric, {})",
    HashForm.BOOLEAN: "hashint4extended({}::int4, {})",
    HashForm.MOMENT: "timestamp_hash_extended({}, {})",
}
_CAST = {
    HashForm.INTEGER: "int8",
    HashForm.NUMBER: "numeric",
    HashForm.BOOLEAN: "boolean",
    HashForm.MOMENT: "timestamp",
}
_NULL_HASH = 0x9E3779B97F4A7C15 - (1 << 64)
_REQUIRED = 0x5555_0000_0000
"""Tells a null that may not be from one that may: they are not equal."""
_SORT_MEMORY = sql.SQL("SET work_mem = '64MB'")
_XOR = sql.SQL(" # ")

_PAGES = """
SELECT c.relkind::text, pg_relation_size(c.oid) / current_setting('block_size')::int,
       greatest(c.reltuples, 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""


def sums(
    connection: PostgresConnection,
    selection: Selection,
    digest: RowDigest,
    schema: str,
    part_rows: int,
) -> Iterator[list[BucketSum]]:
    """The sums of parts of the table of about `part_rows` rows, as they are done,
    some thousand at a time."""
    bucket = _bucket(selection, digest)
    image = _hash(selection, digest.image)
    connection.execute(_SORT_MEMORY)
    for condition in _parts(connection, schema, selection.table.name, part_rows):
        hashed = selection.query(
            sql.SQL("{} AS bucket, {} AS hash").format(bucket, image), *condition
        )
        query = sql.SQL(
            "SELECT bucket, count(*), sum((hash >> 33)::int4), "
            "sum((hash & 2147483647)::int4) "
            "FROM ({}) AS hashed GROUP BY bucket"
        ).format(hashed)
        for rows in copy_out(connection, query):
            yield [_read(row) for row in rows]


def _read(row: Row) -> BucketSum:
    bucket, rows, high, low = (int(value or 0) for value in row)
    return bucket, rows, (high << 32) + low


def bucket_rows(
    connection: PostgresConnection,
    selection: Selection,
    digest: RowDigest,
    columns: sql.Composable,
    buckets: Sequence[int],
) -> Iterator[list[Row]]:
    """The rows whose keys fall into these buckets."""
    chosen = sql.SQL("{} = ANY ({}::bigint[])").format(
        _bucket(selection, digest),
        sql.Literal("{" + ",".join(map(str, buckets)) + "}"),
    )
    yield from copy_out(connection, selection.query(columns, chosen))


def _parts(
    connection: PostgresConnection, schema: str, table: str, part_rows: int
) -> list[list[sql.Composable]]:
    """Conditions that cut an ordinary table along its pages; all else is one part."""
    row = connection.execute(_PAGES, (schema, table)).fetchone()
    if row is None or row[0] != "r":
        return [[]]
    pages, rows = int(row[1]), int(row[2])
    density = rows / pages if rows and pages else 50.0
    step = max(1, int(part_rows / density))
    starts = list(range(0, pages, step)) or [0]
    if len(starts) == 1:
        return [[]]
    ends = [*starts[1:], None]
    return [
        [_page(">=", start)] + ([_page("<", end)] if end is not None else [])
        for start, end in zip(starts, ends, strict=True)
    ]


def _page(operator: str, page: int) -> sql.Composable:
    return sql.SQL("t.ctid {} {}::tid").format(
        sql.SQL(operator), sql.Literal(f"({page},0)")
    )


def _bucket(selection: Selection, digest: RowDigest) -> sql.Composable:
    return sql.SQL("({} & {})").format(
        _hash(selection, digest.key), sql.Literal(digest.buckets - 1)
    )


def _hash(selection: Selection, columns: Sequence[HashedColumn]) -> sql.Composable:
    """Each column with a seed of its own, so that values cannot change places."""
    hashes = [_one(selection, column, seed) for seed, column in enumerate(columns, 1)]
    return sql.SQL("({})").format(_XOR.join(hashes))


def _one(selection: Selection, column: HashedColumn, seed: int) -> sql.Composable:
    nothing = _NULL_HASH ^ seed ^ (_REQUIRED if column.required else 0)
    value = sql.SQL(_HASH[column.form]).format(
        _value(selection, column), sql.Literal(seed)
    )
    return sql.SQL("coalesce({}, {})").format(value, sql.Literal(nothing))


def _value(selection: Selection, column: HashedColumn) -> sql.Composable:
    if not column.paths:
        return sql.SQL("{}::text").format(sql.Literal(column.default))
    if len(column.paths) > 1:
        return _joined(selection, column.paths)
    path = column.paths[0]
    parts = selection.parts(path)
    plain = selection.column(path)
    type_ = parts[0][1] if len(parts) == 1 else ColumnType(TypeFamily.TEXT, "text")
    if column.values is not None:
        return _chosen(_text(plain, type_), column)
    if column.form is HashForm.TEXT:
        return _defaulted(_text(plain, type_), column.default, "text")
    if column.form is HashForm.MOMENT:
        plain = _moment(plain, type_)
    return _defaulted(plain, column.default, _CAST[column.form])


def _defaulted(
    value: sql.Composable, default: str | None, type_: str
) -> sql.Composable:
    if default is None:
        return value
    literal = sql.SQL("{}::{}").format(sql.Literal(default), sql.SQL(type_))
    return sql.SQL("coalesce({}, {})").format(value, literal)


def _moment(value: sql.Composable, type_: ColumnType) -> sql.Composable:
    if type_.family is TypeFamily.TIMESTAMPTZ:
        return sql.SQL("({} AT TIME ZONE 'UTC')").format(value)
    return sql.SQL("{}::timestamp").format(value)


def _text(value: sql.Composable, type_: ColumnType) -> sql.Composable:
    """The canonical text."""
    if type_.family is TypeFamily.BOOLEAN:
        return sql.SQL("(CASE {} WHEN true THEN 't' WHEN false THEN 'f' END)").format(
            value
        )
    return sql.SQL("{}::text").format(value)


def _chosen(text: sql.Composable, column: HashedColumn) -> sql.Composable:
    """What a value map makes of a text."""
    cases = [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(given), sql.Literal(made))
        for given, made in (column.values or {}).items()
    ]
    nothing = sql.SQL("WHEN {} IS NULL THEN {}").format(
        text, sql.Literal(column.default)
    )
    if not cases:
        return sql.SQL("(CASE {} ELSE {} END)").format(nothing, sql.Literal(_NOTHING))
    return sql.SQL(
        '(CASE {} ELSE CASE {} COLLATE "C" {} ELSE {} END END)::text'
    ).format(nothing, text, sql.SQL(" ").join(cases), sql.Literal(_NOTHING))


def _joined(selection: Selection, paths: Sequence[str]) -> sql.Composable:
    """A composite key; one of which only a part is given equals nothing."""
    texts: list[sql.Composable] = []
    for path in paths:
        (_, type_), *_ = selection.parts(path)
        texts.append(_text(selection.column(path), type_))
    joined = texts[0]
    for text in texts[1:]:
        joined = sql.SQL("{} || {} || {}").format(
            joined, sql.Literal(PART_SEPARATOR), text
        )
    return sql.SQL(
        "(CASE num_nulls({all}) WHEN 0 THEN {joined} WHEN {count} THEN NULL "
        "ELSE {nothing} END)"
    ).format(
        all=sql.SQL(", ").join(texts),
        joined=joined,
        count=sql.Literal(len(texts)),
        nothing=sql.Literal(_NOTHING),
    )
