"""Filters on a table with a column of every type, and rows for it: what the tests of
the backends and of the dialects draw from."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from hypothesis import strategies as st

from syncengine.mapping.filters import Expression
from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparator,
    Comparison,
    In,
    Like,
    Literal,
    LiteralKind,
    Not,
    Or,
    Wildcard,
    pattern_of,
)
from syncengine.mapping.schema import Column, ColumnType, TableSchema, TypeFamily

CUSTOMERS = TableSchema(
    name="customersv3",
    columns=(
        Column("PartyType", ColumnType(TypeFamily.TEXT, "text")),
        Column("CreditLimit", ColumnType(TypeFamily.DECIMAL, "numeric(32,6)")),
        Column("Priority", ColumnType(TypeFamily.INTEGER, "integer", bits=32)),
        Column("Ratio", ColumnType(TypeFamily.FLOAT, "real", bits=32)),
        Column("OnHold", ColumnType(TypeFamily.BOOLEAN, "boolean")),
        Column("Opened", ColumnType(TypeFamily.DATE, "date")),
        Column("Local", ColumnType(TypeFamily.TIMESTAMP, "timestamp")),
        Column("Changed", ColumnType(TypeFamily.TIMESTAMPTZ, "timestamptz")),
        Column("Closes", ColumnType(TypeFamily.TIME, "time without time zone")),
        Column("Zoned", ColumnType(TypeFamily.TIME, "time with time zone")),
        Column("Id", ColumnType(TypeFamily.UUID, "uuid")),
        Column("Kind", ColumnType(TypeFamily.ENUM, "kind", labels=("Net", "Gross"))),
        Column("Blocked", ColumnType(TypeFamily.ENUM, "noyes", labels=("No", "Yes"))),
        Column("Photo", ColumnType(TypeFamily.BINARY, "bytea")),
    ),
)

LABELS = ("None", "All", "Invoice")
TABLE = TableSchema(
    name="everything",
    columns=(
        Column("Name", ColumnType(TypeFamily.TEXT, "text")),
        Column("code", ColumnType(TypeFamily.TEXT, "character varying(60)")),
        Column("padded", ColumnType(TypeFamily.TEXT, "character(4)", max_length=4)),
        Column("small", ColumnType(TypeFamily.INTEGER, "smallint", bits=16)),
        Column("whole", ColumnType(TypeFamily.INTEGER, "bigint", bits=64)),
        Column("amount", ColumnType(TypeFamily.DECIMAL, "numeric")),
        Column("rate", ColumnType(TypeFamily.FLOAT, "double precision", bits=64)),
        Column("ratio", ColumnType(TypeFamily.FLOAT, "real", bits=32)),
        Column("active", ColumnType(TypeFamily.BOOLEAN, "boolean")),
        Column("born", ColumnType(TypeFamily.DATE, "date")),
        Column("seen", ColumnType(TypeFamily.TIMESTAMP, "timestamp without time zone")),
        Column(
            "changed", ColumnType(TypeFamily.TIMESTAMPTZ, "timestamp with time zone")
        ),
        Column("at", ColumnType(TypeFamily.TIME, "time without time zone")),
        Column("id", ColumnType(TypeFamily.UUID, "uuid")),
        Column("hold", ColumnType(TypeFamily.ENUM, "hold_status", labels=LABELS)),
    ),
)
NAMES = tuple(column.name for column in TABLE.columns)
TYPES = {column.name: column.type for column in TABLE.columns}

INTEGERS = ["-1", "0", "1", "2", "10", "32767"]
DECIMALS = ["0", "-0", "1", "1.5", "1.50", "-0.01", "0.1", "1E+3", "16777217"]
DAYS = ["2026-03-31", "1900-01-01", "0001-01-01", "9999-12-31"]
MOMENTS = ["2026-03-31T00:00:00", "2026-03-31T10:00:00", "2026-03-31T10:00:00.500000"]
HOURS = ["00:00:00", "10:30:00", "10:30:00.000005", "23:59:59.999999"]
IDS = ["0f8fad5b-d9cb-469f-a165-70867728950e", "00000000-0000-0000-0000-000000000000"]
EDGES = ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"]
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
WORDS = ["", "a", "A", "Z", "ab", "aB", "ba", "axb", "aXXb", "a%b", "a_b", "a\\b"]
WORDS += ["a*b", "a-b^$", "*", "?", "it's", '"q"', "a\nb", " ", "a ", "ß", "é"]
WORDS += ["e\u0301", "\U0001f600", "\uffff"]
TEXTS = st.sampled_from(WORDS) | st.text(CHARACTERS, max_size=4)


def pool(kind: ColumnType) -> list[str]:
    """Interesting values of a type, as a literal may say them too."""
    family = kind.family
    return {
        TypeFamily.TEXT: WORDS,
        TypeFamily.INTEGER: INTEGERS,
        TypeFamily.DECIMAL: DECIMALS,
        TypeFamily.FLOAT: DECIMALS,
        TypeFamily.BOOLEAN: ["t", "f"],
        TypeFamily.DATE: DAYS,
        TypeFamily.TIMESTAMP: MOMENTS,
        TypeFamily.TIMESTAMPTZ: MOMENTS,
        TypeFamily.TIME: HOURS,
        TypeFamily.UUID: IDS,
        TypeFamily.ENUM: list(LABELS),
    }[family]


def stored(kind: ColumnType) -> list[str]:
    """Values for rows: the pool, and what no literal can say."""
    if kind.max_length:
        return [word[: kind.max_length] for word in pool(kind)]
    odd = {
        TypeFamily.DECIMAL: ["NaN"],
        TypeFamily.FLOAT: ["NaN", "Infinity", "-Infinity", "1e-30", "3e38"],
        TypeFamily.DATE: EDGES,
        TypeFamily.TIMESTAMP: EDGES,
        TypeFamily.TIMESTAMPTZ: EDGES,
    }
    return pool(kind) + odd.get(kind.family, [])


def literal(kind: ColumnType, text: str) -> Literal:
    """The literal of a text from the pool."""
    family = kind.family
    if family in (TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT):
        return Literal(LiteralKind.NUMBER, Decimal(text))
    if family is TypeFamily.BOOLEAN:
        return Literal(LiteralKind.BOOLEAN, text == "t")
    if family is TypeFamily.ENUM:
        return Literal(LiteralKind.ENUM, text, enum="Hold")
    if family is TypeFamily.UUID:
        return Literal(LiteralKind.GUID, text)
    textual = family is TypeFamily.TEXT
    return Literal(LiteralKind.TEXT if textual else LiteralKind.TIME, text)


def anything(kind: ColumnType) -> st.SearchStrategy[str]:
    """Values of a type far from the pool; rows and literals may both have them."""
    family = kind.family
    if family is TypeFamily.INTEGER:
        return st.integers(-32768, 32767).map(str)
    if family is TypeFamily.DECIMAL:
        return st.decimals(-1000, 1000, places=3).map(str)
    if family is TypeFamily.FLOAT:
        return st.floats(-1e9, 1e9, width=32).map(repr)
    moments: dict[TypeFamily, st.SearchStrategy[Any]] = {
        TypeFamily.DATE: st.dates(),
        TypeFamily.TIMESTAMP: st.datetimes(),
        TypeFamily.TIMESTAMPTZ: st.datetimes(),
        TypeFamily.TIME: st.times(),
    }
    if family in moments:
        return moments[family].map(lambda moment: moment.isoformat())
    if family is TypeFamily.TEXT:
        return st.text(CHARACTERS, max_size=4)
    return st.sampled_from(pool(kind))


UNORDERED = (TypeFamily.BOOLEAN, TypeFamily.UUID, TypeFamily.ENUM)
DATED = (TypeFamily.DATE, TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ)
NULL = Literal(LiteralKind.NULL, None)
NOW = Literal(LiteralKind.NOW, "now()")
EQUALITY = (Comparator.EQ, Comparator.NE)


LITERALS = {
    name: (st.sampled_from(pool(kind)) | anything(kind)).map(partial(literal, kind))
    for name, kind in TYPES.items()
}
MEMBERS = {
    name: st.lists(st.just(NULL) | each, min_size=1, max_size=3)
    for name, each in LITERALS.items()
}
PATTERNS = st.lists(st.sampled_from(Wildcard) | TEXTS, max_size=4)


@st.composite
def leaf(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from(NAMES))
    family, column = TYPES[name].family, ColumnRef(name)
    shape = draw(st.integers(0, 9))
    if shape == 0:
        return Comparison(column, draw(st.sampled_from(EQUALITY)), NULL)
    if shape == 1:
        return In(column, tuple(draw(MEMBERS[name])))
    if shape <= 5 and family is TypeFamily.TEXT:
        return Like(column, pattern_of(*draw(PATTERNS)))
    if shape == 2 and family in DATED:
        return Comparison(column, draw(st.sampled_from(Comparator)), NOW)
    operators = EQUALITY if family in UNORDERED else tuple(Comparator)
    return Comparison(column, draw(st.sampled_from(operators)), draw(LITERALS[name]))


@st.composite
def tree(draw: st.DrawFn, depth: int = 2) -> Expression:
    shape = draw(st.integers(0, 5)) if depth else 0
    if shape <= 2:
        return draw(leaf())
    if shape == 3:
        return Not(draw(tree(depth - 1)))
    operands = tuple(draw(tree(depth - 1)) for _ in range(draw(st.integers(2, 3))))
    return And(operands) if shape == 4 else Or(operands)


EXPRESSIONS = tree()
ROWS = st.tuples(
    *(
        st.none() | st.sampled_from(stored(kind)) | anything(kind)
        for kind in TYPES.values()
    )
)
