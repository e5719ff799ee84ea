"""One meaning, three backends: a filter's Python predicate, its SQL run by PostgreSQL
and its OData text, read and evaluated by an interpreter of its own, say the same of
every row. The interpreter below shares nothing with the product but the OData parser;
it works on native values where the product compares canonical text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from fractions import Fraction
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
    LiteralKind,
    Not,
    Or,
    Wildcard,
    pattern_of,
)
from syncengine.mapping.filters.sql import Identifier, Raw, SqlText
from syncengine.mapping.schema import ColumnType, TypeFamily
from tests.mapping.filter_trees import (
    DATED,
    EQUALITY,
    EXPRESSIONS,
    LABELS,
    NAMES,
    NOW,
    NULL,
    ROWS,
    TABLE,
    TYPES,
    UNORDERED,
    WORDS,
    literal,
    pool,
    stored,
)
from tests.properties import examples
from tests.servers import PostgresServer

MOST = 500  # PostgreSQL gives at most 1,664 columns


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


def present(kind: ColumnType) -> datetime:
    """What now() means for a column."""
    moment = datetime.now(UTC)
    if kind.family is TypeFamily.DATE:
        return datetime.combine(moment, time(), UTC)
    return moment


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
            right: Any = None
            if literal.kind is LiteralKind.NOW:
                right = 0, present(kind)
            elif literal.value is not None:
                right = native(literal.value, kind)
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
        assert bind_types(parse_finops(to_finops(expression)), TABLE) == expression
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
    if kind.family in DATED:
        yield from (Comparison(column, operator, NOW) for operator in operators)
    for text in pool(kind):
        value = literal(kind, text)
        yield from (Comparison(column, operator, value) for operator in operators)
        yield Not(Comparison(column, operators[-1], value))
        yield In(column, (value, NULL))
        yield In(column, (value, literal(kind, pool(kind)[1])))
        yield Not(In(column, (value, NULL)))
        yield Not(In(column, (value,)))
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
                (any_text, "a", any_text, text, any_text, any_character, "b"),
            ):
                yield Like(column, pattern_of(*parts))
                yield Not(Like(column, pattern_of(*parts)))


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
    max_examples=examples(60),
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
