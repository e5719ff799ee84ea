"""Reading table schemas from the catalog, all tables in a handful of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    ForeignKey,
    TableSchema,
    TypeFamily,
    UniqueKey,
)

_FAMILIES = {
    "bool": TypeFamily.BOOLEAN,
    "bpchar": TypeFamily.TEXT,
    "bytea": TypeFamily.BINARY,
    "citext": TypeFamily.TEXT,
    "date": TypeFamily.DATE,
    "float4": TypeFamily.FLOAT,
    "float8": TypeFamily.FLOAT,
    "int2": TypeFamily.INTEGER,
    "int4": TypeFamily.INTEGER,
    "int8": TypeFamily.INTEGER,
    "json": TypeFamily.JSON,
    "jsonb": TypeFamily.JSON,
    "name": TypeFamily.TEXT,
    "numeric": TypeFamily.DECIMAL,
    "text": TypeFamily.TEXT,
    "time": TypeFamily.TIME,
    "timestamp": TypeFamily.TIMESTAMP,
    "timestamptz": TypeFamily.TIMESTAMPTZ,
    "uuid": TypeFamily.UUID,
    "varchar": TypeFamily.TEXT,
}

_BITS = {"int2": 16, "int4": 32, "int8": 64, "float4": 32, "float8": 64}

_NAME_LIMIT = 63

# Ordinary and partitioned tables (their partitions are part of them), with the tables
# they refer to, three steps far; what cannot be captured only where it is named.
# Changes carry the old row when every partition does.
_TABLES = """
WITH RECURSIVE named AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND CASE WHEN %(names)s::text[] IS NULL
          THEN c.relkind IN ('r', 'p') AND NOT c.relispartition
          ELSE c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND lower(c.relname) = ANY (%(names)s::text[]) END
), reached AS (
    SELECT oid, 0 AS step FROM named
    UNION
    SELECT f.confrelid, r.step + 1
    FROM reached r JOIN pg_constraint f ON f.conrelid = r.oid AND f.contype = 'f'
    WHERE r.step < 3
)
SELECT c.oid, c.relname,
       CASE c.relkind WHEN 'p' THEN NOT EXISTS (
           SELECT FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
           WHERE p.isleaf AND l.relkind = 'r' AND l.relreplident <> 'f')
       ELSE c.relreplident = 'f' END,
       CASE WHEN c.relkind = 'v' THEN 'it is a view'
            WHEN c.relkind = 'm' THEN 'it is a materialized view'
            WHEN c.relispartition THEN (
                SELECT format('it is one partition of %%s: map that table', i.inhparent
                              ::regclass) FROM pg_inherits i WHERE i.inhrelid = c.oid)
            WHEN c.relkind = 'f' THEN 'it is a foreign table'
            WHEN c.relpersistence = 'u' THEN 'it is unlogged'
            WHEN c.relkind = 'p' THEN (
                SELECT format('its partition %%s is %%s', l.relname,
                              CASE l.relkind WHEN 'f' THEN 'a foreign table'
                              ELSE 'unlogged' END)
                FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
                WHERE p.isleaf AND (l.relkind = 'f' OR l.relpersistence = 'u')
                ORDER BY l.relname LIMIT 1)
       END,
       (SELECT string_agg(
            format('%%s (%%s %%s)', t.tgname,
                   CASE WHEN t.tgtype & 2 > 0 THEN 'before' ELSE 'after' END,
                   concat_ws(' or ', CASE WHEN t.tgtype & 4 > 0 THEN 'insert' END,
                                     CASE WHEN t.tgtype & 16 > 0 THEN 'update' END,
                                     CASE WHEN t.tgtype & 8 > 0 THEN 'delete' END)),
            chr(1) ORDER BY t.tgname)
        FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
          AND t.tgenabled IN ('O', 'A') AND t.tgtype & 1 > 0)
FROM (SELECT DISTINCT oid FROM reached) r JOIN pg_class c USING (oid)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s
  AND (NOT c.relispartition OR c.oid IN (SELECT oid FROM named))
ORDER BY c.relname
"""

# A domain stands for its base type, with the limits and NOT NULL it adds.
_COLUMNS = """
WITH RECURSIVE domains AS (
    SELECT t.oid, t.typbasetype AS base, t.typtypmod AS modifier,
           t.typnotnull AS required, t.typdefault IS NOT NULL AS filled
    FROM pg_type t WHERE t.typtype = 'd'
    UNION ALL
    SELECT d.oid, t.typbasetype,
           CASE WHEN d.modifier >= 0 THEN d.modifier ELSE t.typtypmod END,
           d.required OR t.typnotnull, d.filled OR t.typdefault IS NOT NULL
    FROM domains d JOIN pg_type t ON t.oid = d.base AND t.typtype = 'd'
), base AS (
    SELECT d.* FROM domains d JOIN pg_type t ON t.oid = d.base AND t.typtype <> 'd'
)
SELECT a.attrelid, a.attname, t.typname, t.typtype,
       format_type(t.oid, m.modifier), m.modifier,
       NOT (a.attnotnull OR coalesce(d.required, false)),
       a.atthasdef OR a.attidentity <> '' OR coalesce(d.filled, false),
       a.attgenerated = '' AND a.attidentity <> 'a', a.attgenerated <> '',
       CASE t.typtype WHEN 'e' THEN (
           SELECT array_to_string(array_agg(e.enumlabel ORDER BY e.enumsortorder),
                                  chr(1))
           FROM pg_enum e WHERE e.enumtypid = t.oid) END
FROM pg_attribute a
LEFT JOIN base d ON d.oid = a.atttypid
JOIN pg_type t ON t.oid = coalesce(d.base, a.atttypid)
CROSS JOIN LATERAL (SELECT CASE WHEN d.modifier >= 0 THEN d.modifier
                                ELSE a.atttypmod END AS modifier) m
WHERE a.attrelid = ANY (%s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# Deferrable keys cannot arbitrate ON CONFLICT; partial and expression indexes do not
# say one row at most.
_KEYS = """
SELECT i.indrelid, c.relname, i.indisprimary, k.position, a.attname
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = ANY (%s::oid[]) AND i.indisunique AND i.indisvalid
  AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.position <= i.indnkeyatts
ORDER BY i.indrelid, i.indisprimary DESC, c.relname, k.position
"""

_FOREIGN_KEYS = """
SELECT f.conrelid, f.conname, r.relname, k.position, a.attname, b.attname
FROM pg_constraint f
JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid
CROSS JOIN LATERAL unnest(f.conkey, f.confkey)
    WITH ORDINALITY AS k(here, there, position)
JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.here
JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.there
WHERE f.conrelid = ANY (%s::oid[]) AND f.contype = 'f'
  AND c.relnamespace = r.relnamespace AND NOT r.relispartition
ORDER BY f.conrelid, f.conname, k.position
"""


def read_schema(
    connection: PostgresConnection, schema: str, names: Sequence[str] | None = None
) -> dict[str, TableSchema]:
    """The named tables of `schema` and the tables they refer to; all without names.

    Names match whatever their case; a view or the like is there when it is named, and
    says why it is unfit. Missing tables are absent; references into other schemas are
    left out.
    """
    wanted = None if names is None else [name.lower() for name in names]
    tables = connection.execute(_TABLES, {"schema": schema, "names": wanted}).fetchall()
    oids = [row[0] for row in tables]
    if not oids:
        return {}
    columns = _columns(connection.execute(_COLUMNS, (oids,)).fetchall())
    keys = _keys(connection.execute(_KEYS, (oids,)).fetchall())
    foreign_keys = _foreign_keys(connection.execute(_FOREIGN_KEYS, (oids,)).fetchall())
    return {
        name: TableSchema(
            name=name,
            columns=tuple(columns[oid]),
            keys=tuple(keys[oid]),
            foreign_keys=tuple(foreign_keys[oid]),
            full_identity=full == "t",
            unfit=unfit or "",
            triggers=tuple(triggers.split("\x01")) if triggers else (),
        )
        for oid, name, full, unfit, triggers in tables
    }


def _columns(rows: Iterable[tuple[str, ...]]) -> dict[str, list[Column]]:
    columns: dict[str, list[Column]] = defaultdict(list)
    for (
        oid,
        name,
        type_name,
        kind,
        formatted,
        modifier,
        nullable,
        filled,
        open_,
        computed,
        labels,
    ) in rows:
        columns[oid].append(
            Column(
                name=name,
                type=_type(type_name, kind, formatted, int(modifier), labels),
                nullable=nullable == "t",
                has_default=filled == "t",
                writable=open_ == "t",
                computed=computed == "t",
            )
        )
    return columns


def _type(
    name: str, kind: str, formatted: str, modifier: int, labels: str | None
) -> ColumnType:
    if kind == "e":
        found = tuple(labels.split("\x01")) if labels else ()
        return ColumnType(TypeFamily.ENUM, formatted, labels=found)
    family = _FAMILIES.get(name, TypeFamily.OTHER) if kind == "b" else TypeFamily.OTHER
    length = precision = scale = None
    if name == "name":
        length = _NAME_LIMIT
    elif family is TypeFamily.TEXT and modifier >= 4:
        length = modifier - 4
    elif family is TypeFamily.DECIMAL and modifier >= 4:
        precision = ((modifier - 4) >> 16) & 0xFFFF
        scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024
    return ColumnType(
        family,
        formatted,
        max_length=length,
        precision=precision,
        scale=scale,
        bits=_BITS.get(name),
    )


def _keys(rows: Iterable[tuple[str, ...]]) -> dict[str, list[UniqueKey]]:
    columns: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for oid, name, primary, _, column in rows:
        columns[oid, name, primary == "t"].append(column)
    keys: dict[str, list[UniqueKey]] = defaultdict(list)
    for (oid, name, primary_key), names in columns.items():
        keys[oid].append(UniqueKey(name, tuple(names), primary_key))
    return keys


def _foreign_keys(rows: Iterable[tuple[str, ...]]) -> dict[str, list[ForeignKey]]:
    pairs: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for oid, name, table, _, here, there in rows:
        pairs[oid, name, table].append((here, there))
    found: dict[str, list[ForeignKey]] = defaultdict(list)
    for (oid, name, table), columns in pairs.items():
        here_columns, there_columns = zip(*columns, strict=True)
        found[oid].append(ForeignKey(name, here_columns, table, there_columns))
    return found
