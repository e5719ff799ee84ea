"""One meaning, three backends: a filter's Python predicate, its SQL run by PostgreSQL
and its OData text, read and evaluated by an interpreter of its own, say the same of
every row. The interpreter below shares nothing with the product but the OData parser;
it works on native values where the product compares canonical text."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
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

CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
WORDS = ["", "a", "A", "ab", "aB", "a%b", "a_b", "a\\b", "it's", '"q"', "*", "a*b"]
WORDS += ["?", "é", "e\u0301", "\U0001f600", "\uffff", "a\nb", " ", "a ", "a-b^$", "ß"]
TEXTS = st.sampled_from(WORDS) | st.text(CHARACTERS, max_size=4)
WHOLE = st.sampled_from([-1, 0, 1, 2, 32767]) | st.integers(-32768, 32767)
NUMBERS = st.sampled_from(
    [Decimal(n) for n in ("0", "-0", "1", "1.5", "1.50", "-0.01", "0.1", "1E+3")]
) | st.decimals(-1000, 1000, places=3)
GUIDS = st.sampled_from(
    ["0f8fad5b-d9cb-469f-a165-70867728950e", "00000000-0000-0000-0000-000000000000"]
)
DATES = st.sampled_from([date(2026, 3, 31), date(1900, 1, 1)]) | st.dates()
INSTANTS = (
    st.sampled_from([datetime(2026, 3, 31), datetime(2026, 3, 31, 10, 0, 0, 500000)])
    | st.datetimes()
)
TIMES = st.sampled_from([time(0), time(10, 30), time(10, 30, 0, 5)]) | st.times()


def column_values(kind: ColumnType) -> st.SearchStrategy[str]:
    """Texts that PostgreSQL takes as values of that type."""
    family = kind.family
    if family is TypeFamily.INTEGER:
        return WHOLE.map(str)
    if family is TypeFamily.DECIMAL:
        return NUMBERS.map(str) | st.just("NaN")
    if family is TypeFamily.FLOAT:
        odd = st.sampled_from(["NaN", "Infinity", "-Infinity", "1e-30", "3e38"])
        return NUMBERS.map(str) | odd | st.floats(-1e9, 1e9, width=32).map(repr)
    if family is TypeFamily.BOOLEAN:
        return st.sampled_from(["t", "f"])
    if family is TypeFamily.DATE:
        odd = st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
        return DATES.map(str) | odd
    if family in (TypeFamily.TIMESTAMP, TypeFamily.TIMESTAMPTZ):
        odd = st.sampled_from(["infinity", "-infinity", "0044-03-15 10:00:00 BC"])
        return INSTANTS.map(str) | odd
    if family is TypeFamily.TIME:
        return TIMES.map(str)
    if family is TypeFamily.UUID:
        return GUIDS
    if family is TypeFamily.ENUM:
        return st.sampled_from(LABELS)
    if kind.max_length:
        return TEXTS.map(lambda text: text[: kind.max_length])
    return TEXTS


def literals(kind: ColumnType) -> st.SearchStrategy[Literal]:
    family = kind.family
    if family in (TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT):
        numbers = NUMBERS | WHOLE.map(Decimal)
        if family is TypeFamily.INTEGER:
            numbers |= st.just(Decimal(2) ** 70)
        return numbers.map(lambda value: Literal(LiteralKind.NUMBER, value))
    if family is TypeFamily.BOOLEAN:
        return st.booleans().map(lambda value: Literal(LiteralKind.BOOLEAN, value))
    if family is TypeFamily.UUID:
        return GUIDS.map(lambda value: Literal(LiteralKind.GUID, value))
    if family is TypeFamily.ENUM:
        labels = st.sampled_from(LABELS)
        return labels.map(lambda value: Literal(LiteralKind.ENUM, value, enum="Hold"))
    if family is TypeFamily.TEXT:
        return TEXTS.map(lambda value: Literal(LiteralKind.TEXT, value))
    moments: Any = {TypeFamily.DATE: DATES, TypeFamily.TIME: TIMES}.get(
        family, INSTANTS
    )
    return moments.map(lambda value: Literal(LiteralKind.TIME, value.isoformat()))


UNORDERED = (TypeFamily.BOOLEAN, TypeFamily.UUID, TypeFamily.ENUM)
NULL = Literal(LiteralKind.NULL, None)
EQUALITY = (Comparator.EQ, Comparator.NE)


@st.composite
def leaf(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from(NAMES))
    kind = TYPES[name]
    column = ColumnRef(name)
    shape = draw(st.integers(0, 9))
    if shape == 0:
        return Comparison(column, draw(st.sampled_from(EQUALITY)), NULL)
    if shape == 1:
        members = draw(st.lists(literals(kind) | st.just(NULL), min_size=1, max_size=3))
        return In(column, tuple(members))
    if shape <= 5 and kind.family is TypeFamily.TEXT:
        part = st.sampled_from(Wildcard) | TEXTS
        return Like(column, pattern_of(*draw(st.lists(part, max_size=4))))
    unordered = kind.family in UNORDERED
    operator = draw(st.sampled_from(EQUALITY if unordered else tuple(Comparator)))
    return Comparison(column, operator, draw(literals(kind)))


def nested(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(Not) | several.map(And) | several.map(Or)


EXPRESSIONS = st.recursive(leaf(), nested, max_leaves=6)
ROWS = st.tuples(*(st.none() | column_values(kind) for kind in TYPES.values()))


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
    connection: psycopg.Connection, rows: list[Any], expressions: list[Expression]
) -> tuple[list[tuple[str | None, ...]], list[list[str | None]]]:
    """The rows in canonical text, and each expression's answer on each row."""
    lines = [
        sql.SQL("({}, {})").format(
            sql.Literal(number),
            sql.SQL(", ").join(
                sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.SQL(kind.name))
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
            return {
                Comparator.LT: left < right,
                Comparator.LE: left <= right,
                Comparator.GT: left > right,
                Comparator.GE: left >= right,
            }[operator]


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


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    options = "-c TimeZone=UTC -c DateStyle=ISO"
    with psycopg.connect(database, autocommit=True, options=options) as connection:
        labels = sql.SQL(", ").join(LABELS)
        connection.execute(
            sql.SQL("CREATE TYPE hold_status AS ENUM ({})").format(labels)
        )
        yield connection


@settings(
    max_examples=80,
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
    bound = [bind_types(each, TABLE) for each in written]
    canonical, answers = ask_postgres(connection, rows, bound)
    for index, expression in enumerate(bound):
        odata = to_odata(expression)
        note(odata)
        matches = compile_predicate(expression, NAMES, TABLE)
        reread = parse_odata(odata)
        for row, values, answer in zip(rows, canonical, answers, strict=True):
            by_sql = {"t": True, "f": False}[answer[index] or "null"]
            named = dict(zip(NAMES, row, strict=True))
            if named["padded"] is not None:
                named["padded"] = named["padded"].rstrip(" ")
            assert matches(values) is by_sql
            assert evaluate(reread, named) is by_sql


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
