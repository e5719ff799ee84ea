"""The statements that make the tables, and those that tie them together once filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg import sql

from portal.sample.ready_made import business_rules
from portal.sample.ready_made.tables import ENUMERATIONS, Column, Table, tables
from syncengine.mapping.model import Side


def create_statements(side: Side) -> Iterator[sql.Composed]:
    """Types and tables of a side, with primary keys alone."""
    for (owner, used_in, column), labels in ENUMERATIONS.items():
        if owner is side:
            yield sql.SQL("CREATE TYPE {} AS ENUM ({})").format(
                sql.Identifier(f"{used_in}_{column}"),
                sql.SQL(", ").join(map(sql.Literal, labels)),
            )
    for table in tables(side):
        parts = [*map(_column, table.columns)]
        parts.append(sql.SQL("PRIMARY KEY ({})").format(_names(table.primary_key)))
        yield sql.SQL("CREATE TABLE {} (\n    {}\n)").format(
            sql.Identifier(table.name), sql.SQL(",\n    ").join(parts)
        )


def constraint_statements(side: Side) -> Iterator[sql.Composed]:
    """Unique and foreign keys and business rules of a side; quicker once the rows are
    there."""
    for table in tables(side):
        unique = [
            sql.SQL("ADD UNIQUE ({})").format(_names(key)) for key in table.unique
        ]
        if unique:
            yield _alter(table, unique)
    for table in tables(side):
        foreign = [
            sql.SQL("ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
                _names(key.columns), sql.Identifier(key.table), _names(key.target)
            )
            for key in table.foreign_keys
        ]
        if foreign:
            yield _alter(table, foreign)
    if side is Side.FINOPS:
        yield from business_rules.statements()


def _alter(table: Table, parts: Iterable[sql.Composed]) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} {}").format(
        sql.Identifier(table.name), sql.SQL(", ").join(parts)
    )


def _column(column: Column) -> sql.Composed:
    text = sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
    if not column.nullable:
        text += sql.SQL(" NOT NULL")
    if column.default:
        text += sql.SQL(f" DEFAULT {column.default}")
    return text


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
