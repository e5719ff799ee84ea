"""One meaning, three backends: a filter's Python predicate, its SQL run by PostgreSQL
and its OData text, read and evaluated by an interpreter of its own, say the same of
every row. The interpreter below shares nothing with the product but the OData parser;
it works on native values where the product compares canonical text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from syncengine.mapping.filters import (
    Expression,
    bind_types,
    compile_predicate,
    parse_finops,
    parse_odata,
    to_finops,
    to_odata,
    to_sql,
)
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
    leaves,
    pattern_of,
)
from syncengine.mapping.filters.sql import Identifier, Raw, SqlText
from syncengine.mapping.schema import Column, ColumnType, TableSchema, TypeFamily
from tests.servers import PostgresServer

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
MOST = 500  # PostgreSQL gives at most 1,664 columns
NULL = Literal(LiteralKind.NULL, None)
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


def render(text: SqlText) -> sql.Composed:
    parts: list[sql.Composable] = []
    for part in text.parts:
        if isinstance(part, Raw):
            parts.append(sql.SQL(part.sql))
        elif isinstance(part, Identifier):
            parts.append(sql.Identifier("e", part.name))
        else:
            cast = sql.SQL("CAST({} AS {})")
            parts.append(cast.format(sql.Literal(part.text), sql.SQL(part.type)))
    return sql.Composed(parts)


def ask_postgres(
    connection: psycopg.Connection,
    rows: list[Any],
    expressions: list[Expression],
    collation: LiteralString,
) -> tuple[list[tuple[str | None, ...]], list[list[str | None]]]:
    """The rows in canonical text, and each expression's answer on each row."""
    lines = [
        sql.SQL("({}, {})").format(
            sql.Literal(number),
            sql.SQL(", ").join(
                sql.SQL("CAST({} AS {}){}").format(
                    sql.Literal(value),
                    sql.SQL(kind.name),
                    sql.SQL(collation if kind.family is TypeFamily.TEXT else ""),
                )
                for value, kind in zip(row, TYPES.values(), strict=True)
            ),
        )
        for number, row in enumerate(rows)
    ]
    query = sql.SQL("SELECT {}, {} FROM (VALUES {}) AS e ({}) ORDER BY n").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in NAMES),
        sql.SQL(", ").join(render(to_sql(each)) for each in expressions),
        sql.SQL(", ").join(lines),
        sql.SQL(", ").join(sql.Identifier(name) for name in ("n", *NAMES)),
    )
    result = connection.execute(query).pgresult
    assert result is not None
    table = [
        [
            None if (raw := result.get_value(row, column)) is None else raw.decode()
            for column in range(result.nfields)
        ]
        for row in range(result.ntuples)
    ]
    width = len(NAMES)
    return [tuple(row[:width]) for row in table], [row[width:] for row in table]


def native(value: Any, kind: ColumnType) -> Any:
    """A value as Python itself would hold it, in an order of its own."""
    family = kind.family
    text = str(value)
    if family in (TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT):
        if text in ("NaN", "Infinity"):
            return (2 if text == "NaN" else 1,)
        if text == "-Infinity":
            return (-1,)
        if kind.bits == 32 and family is TypeFamily.FLOAT:
            return 0, Fraction(ctypes.c_float(float(text)).value)
        return 0, Fraction(float(text) if family is TypeFamily.FLOAT else text)
    if family is TypeFamily.BOOLEAN:
        return value in ("t", True)
    if family is TypeFamily.TIME:
        return time.fromisoformat(text)
    if family in (TypeFamily.DATE, TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ):
        if text in ("infinity", "20000-01-01"):
            return (1,)
        if text == "-infinity" or text.endswith("BC"):
            return (-1,)
        moment = datetime.fromisoformat(text)
        return 0, moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return text


def evaluate(expression: Expression, row: dict[str, str | None]) -> bool:
    """What a filter read from OData says of a row."""
    match expression:
        case And(operands):
            return all(evaluate(each, row) for each in operands)
        case Or(operands):
            return any(evaluate(each, row) for each in operands)
        case Not(operand):
            return not evaluate(operand, row)
        case Like(column, pattern):
            value = row[column.name]
            return value is not None and like(value, pattern)
        case In(column, members):
            return any(
                evaluate(Comparison(column, Comparator.EQ, member), row)
                for member in members
            )
        case Comparison(column, operator, literal):
            kind, text = TYPES[column.name], row[column.name]
            left = None if text is None else native(text, kind)
            right = None if literal.value is None else native(literal.value, kind)
            if operator is Comparator.EQ:
                return bool(left == right)
            if operator is Comparator.NE:
                return bool(left != right)
            if left is None:
                return False
            less, same = left < right, left == right
            wanted: dict[Comparator, bool] = {
                Comparator.LT: less,
                Comparator.LE: less or same,
                Comparator.GT: not less and not same,
                Comparator.GE: not less,
            }
            return wanted[operator]


def like(value: str, pattern: tuple[str | Wildcard, ...]) -> bool:
    if not pattern:
        return not value
    head, rest = pattern[0], pattern[1:]
    if head is Wildcard.ANY_TEXT:
        return any(like(value[n:], rest) for n in range(len(value) + 1))
    if head is Wildcard.ANY_CHARACTER:
        return bool(value) and like(value[1:], rest)
    assert isinstance(head, str)
    return value.startswith(head) and like(value[len(head) :], rest)


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection]:
    options = "-c TimeZone=UTC -c DateStyle=ISO"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        labels = sql.SQL(", ").join(LABELS)
        connection.execute(
            sql.SQL("CREATE TYPE hold_status AS ENUM ({})").format(labels)
        )
        yield connection


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connected(database) as connection:
        yield connection


def agree(
    connection: psycopg.Connection,
    rows: list[Any],
    written: list[Expression],
    collation: LiteralString = "",
) -> None:
    """Fail unless all three say the same of every row."""
    bound = [bind_types(each, TABLE) for each in written]
    canonical, answers = ask_postgres(connection, rows, bound, collation)
    for index, expression in enumerate(bound):
        odata = to_odata(expression)
        matches = compile_predicate(expression, NAMES, TABLE)
        reread = parse_odata(odata)
        for row, values, answer in zip(rows, canonical, answers, strict=True):
            by_sql = {"t": True, "f": False}[answer[index] or "null"]
            named = dict(zip(NAMES, row, strict=True))
            if named["padded"] is not None:
                named["padded"] = named["padded"].rstrip(" ")
            assert matches(values) is by_sql, (odata, values)
            assert evaluate(reread, named) is by_sql, (odata, values)


def interesting(name: str) -> Iterator[Expression]:
    """Every test on the column that the pool gives rise to."""
    kind, column = TYPES[name], ColumnRef(name)
    operators = EQUALITY if kind.family in UNORDERED else tuple(Comparator)
    yield from (Comparison(column, operator, NULL) for operator in EQUALITY)
    for text in pool(kind):
        value = literal(kind, text)
        yield from (Comparison(column, operator, value) for operator in operators)
        yield Not(Comparison(column, operators[-1], value))
        yield In(column, (value, NULL))
        yield In(column, (value, literal(kind, pool(kind)[1])))
        if kind.family is TypeFamily.TEXT:
            any_text, any_character = Wildcard.ANY_TEXT, Wildcard.ANY_CHARACTER
            for parts in (
                (text,),
                (text, any_text),
                (any_text, text),
                (any_text, text, any_text),
                (any_character, text),
                (text, any_character),
                (text, any_text, "b"),
                ("a", any_character, text, any_text),
            ):
                yield Like(column, pattern_of(*parts))


def test_every_interesting_value_meets_every_interesting_literal(
    connection: psycopg.Connection,
) -> None:
    for name in NAMES:
        rows = [
            tuple(value if each == name else None for each in NAMES)
            for value in (None, *stored(TYPES[name]))
        ]
        tests = list(interesting(name))
        for start in range(0, len(tests), MOST):
            agree(connection, rows, tests[start : start + MOST])


def test_text_compares_by_code_points_under_any_collation(
    make_database: Callable[..., str], postgres15: PostgresServer
) -> None:
    rows = [
        tuple(value if each == "Name" else None for each in NAMES)
        for value in (None, *WORDS)
    ]
    with connected(make_database(postgres15)) as connection:
        agree(connection, rows, list(interesting("Name")), ' COLLATE "und-x-icu"')


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=12),
    written=st.lists(EXPRESSIONS, min_size=1, max_size=12),
)
def test_python_sql_and_odata_agree_on_every_row(
    connection: psycopg.Connection, rows: list[Any], written: list[Expression]
) -> None:
    agree(connection, rows, written)


@settings(max_examples=150, deadline=None)
@given(written=EXPRESSIONS)
def test_a_printed_filter_reads_back_as_the_same_tree(written: Expression) -> None:
    bound = bind_types(written, TABLE)
    assert bind_types(bound, TABLE) == bound
    if not any(isinstance(each, In) for each in leaves(bound)):
        assert bind_types(parse_finops(to_finops(bound)), TABLE) == bound
    patterns = [each.pattern for each in leaves(bound) if isinstance(each, Like)]
    if all(any(isinstance(part, Wildcard) for part in each) for each in patterns):
        assert bind_types(parse_odata(to_odata(bound)), TABLE) == bound
