"""Reading snapshots: chunks, lookups, company scope, filters, sorted streams."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.connectors.base import ChunkRange, Reader, ReadRequest
from syncengine.connectors.postgres.copying import encode, unescape
from syncengine.connectors.postgres.position import format_position, parse_position
from syncengine.errors import SetupError, TransientError
from syncengine.mapping.compiled import Lookup, Row
from syncengine.mapping.filters.expression import (
    ColumnRef,
    Comparator,
    Comparison,
    Literal,
    LiteralKind,
)
from syncengine.mapping.schema import ColumnType, CompanyRule, TypeFamily
from tests.connectors.conftest import Ground
from tests.properties import examples

COMPANY = Lookup.simple("company_id", "companies", "id", "code")
GROUP = Lookup.simple("group_id", "groups", "id", "code")
RULE = CompanyRule("company_id", "companies", "code")


@pytest.fixture
def filled(any_ground: Ground) -> Ground:
    any_ground.execute(
        "CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "
        "code text UNIQUE)",
        "CREATE TABLE groups (id int PRIMARY KEY, code varchar(20), company_id uuid)",
        "CREATE TABLE accounts (id bigint PRIMARY KEY, number text NOT NULL, "
        "company_id uuid REFERENCES companies, group_id int REFERENCES groups, "
        "name text, active boolean, amount numeric(12,2), seen timestamptz)",
        "INSERT INTO companies (code) VALUES ('USMF'), ('DEMF'), ('FRRT')",
        "INSERT INTO groups VALUES (1, 'gold', null), (2, 'silver', null)",
        "INSERT INTO accounts SELECT n, 'A' || n, (SELECT id FROM companies "
        "WHERE code = (ARRAY['USMF', 'DEMF', 'FRRT'])[1 + n % 3]), "
        "CASE WHEN n % 4 = 0 THEN NULL ELSE 1 + n % 2 END, "
        "CASE WHEN n % 5 = 0 THEN NULL ELSE 'name ' || n END, n % 2 = 0, n * 1.5, "
        "timestamptz '2026-03-01 10:00+02' + n * interval '1 day' "
        "FROM generate_series(1, 3000) n",
    )
    return any_ground


def rows_of(lists: Iterator[list[Row]]) -> list[Row]:
    return [row for rows in lists for row in rows]


def accounts(**changes: object) -> ReadRequest:
    values: dict[str, object] = {
        "table": "accounts",
        "columns": ("number", "company_id.code", "group_id.code", "name"),
        "lookups": (COMPANY, GROUP),
        "key": ("company_id.code", "number"),
    }
    return ReadRequest(**{**values, **changes})  # type: ignore[arg-type]


def test_values_are_canonical_text(filled: Ground) -> None:
    request = accounts(columns=("number", "active", "amount", "seen", "name"))
    with filled.connector().reader() as reader:
        rows = {row[0]: row for row in rows_of(reader.read(request))}
        assert rows["A5"] == ("A5", "f", "7.50", "2026-03-06 08:00:00+00", None)
        (fetched,) = reader.fetch(request, [("USMF", "A3")])
    assert fetched == rows["A3"]
    assert fetched[1] == "f"


def test_lookups_are_joined_and_a_missing_reference_is_null(filled: Ground) -> None:
    with filled.connector().reader() as reader:
        rows = {row[0]: row for row in rows_of(reader.read(accounts()))}
    assert len(rows) == 3000
    assert rows["A1"] == ("A1", "DEMF", "silver", "name 1")
    assert rows["A4"][2] is None


def test_company_scope_limits_reads_and_counts(filled: Ground) -> None:
    request = accounts(company=RULE, companies=("USMF", "DEMF"))
    with filled.connector().reader() as reader:
        rows = rows_of(reader.read(request))
        assert {row[1] for row in rows} == {"USMF", "DEMF"}
        assert reader.count(request) == len(rows) == 2000
        assert reader.fetch(request, [("FRRT", "A2"), ("USMF", "A3")]) == [
            ("A3", "USMF", "silver", "name 3")
        ]


def test_a_company_lookup_need_not_be_among_the_columns(filled: Ground) -> None:
    request = accounts(
        columns=("number",),
        lookups=(),
        key=("number",),
        company=RULE,
        companies=("FRRT",),
    )
    with filled.connector().reader() as reader:
        assert reader.count(request) == 1000


def test_a_filter_is_applied_by_the_server(filled: Ground) -> None:
    text = ColumnType(TypeFamily.TEXT, "text")
    predicate = Comparison(
        ColumnRef("name", type=text),
        Comparator.EQ,
        Literal(LiteralKind.TEXT, "100% 'sure' \\ {}"),
    )
    filled.execute(
        "UPDATE accounts SET name = $$100% 'sure' \\ {}$$ WHERE id IN (3, 7)"
    )
    request = accounts(predicate=predicate)
    with filled.connector().reader() as reader:
        assert sorted(r[0] or "" for r in rows_of(reader.read(request))) == ["A3", "A7"]
        assert reader.count(request) == 2
        assert len(reader.fetch(request, [("USMF", "A3"), ("USMF", "A6")])) == 1
        (chunk,) = reader.plan(request, 10)
        assert chunk.rows == 2


def test_some_rows_are_read_and_counted_and_the_question_is_shown(
    filled: Ground,
) -> None:
    request = accounts(company=RULE, companies=("USMF", "DEMF"))
    with filled.connector().reader() as reader:
        some = reader.sample(request, 3)
        assert len(some) == 3
        assert {row[1] for row in some} <= {"USMF", "DEMF"}
        assert len(reader.sample(request, 5000)) == 2000
        assert reader.count(request, 10) == 10
        assert reader.count(request, 5000) == 2000
        assert sorted(filled.query(reader.query_text(request))) == sorted(
            reader.sample(request, 5000)
        )


def test_a_call_takes_no_longer_than_it_is_let(filled: Ground) -> None:
    with filled.connector().reader() as reader, filled.session() as other:
        assert reader.count(accounts()) == 3000
        other.autocommit = False
        other.execute("LOCK TABLE accounts")
        reader.limit(0.05)
        with pytest.raises(TransientError) as caught:
            reader.count(accounts())
        assert caught.value.code == "cancelled"
        with pytest.raises(TransientError):
            next(reader.read(accounts()))
        other.rollback()
        reader.limit(None)
        assert reader.count(accounts()) == 3000


def test_sorted_rows_come_in_code_point_order(filled: Ground) -> None:
    numbers = ["b", "B", "a", "Ä", "_", "😀", "10", "9", "\ufffd"]
    filled.execute(
        "TRUNCATE accounts",
        *(
            f"INSERT INTO accounts (id, number) VALUES ({n}, '{text}')"
            for n, text in enumerate(numbers)
        ),
    )
    request = accounts(columns=("number",), key=("number",))
    with filled.connector().reader() as reader:
        rows = [row[0] for row in rows_of(reader.read_sorted(request))]
    assert rows == sorted(numbers)


def test_sorting_puts_nulls_last(filled: Ground) -> None:
    request = accounts(columns=("name",), key=("name",))
    with filled.connector().reader() as reader:
        rows = [row[0] for row in rows_of(reader.read_sorted(request))]
    assert rows[-600:] == [None] * 600
    assert rows[:-600] == sorted(name for name in rows if name is not None)


def test_references_resolve_to_natural_keys(filled: Ground) -> None:
    with filled.connector().reader() as reader:
        assert reader.resolve(GROUP, ["1", "2", "9", "2"]) == {
            "1": "gold",
            "2": "silver",
        }
        assert reader.resolve(GROUP, []) == {}


def test_a_declared_lookup_that_is_not_unique_does_not_double_rows(
    filled: Ground,
) -> None:
    filled.execute(
        "CREATE TABLE labels (n text, label text)",
        "INSERT INTO labels VALUES ('1', 'one'), ('1', 'one'), ('2', 'two')",
    )
    lookup = Lookup.simple("group_id", "labels", "n", "label")
    request = accounts(columns=("id", "group_id.label"), lookups=(lookup,), key=("id",))
    with filled.connector().reader() as reader:
        rows = rows_of(reader.read(request))
    assert len(rows) == 3000
    assert {row[1] for row in rows} == {"one", "two", None}


def test_a_read_may_be_left_early(filled: Ground) -> None:
    filled.execute(
        "INSERT INTO accounts (id, number) "
        "SELECT n, 'A' || n FROM generate_series(3001, 90000) n"
    )
    with filled.connector().reader() as reader:
        lists = reader.read(accounts())
        assert len(next(lists)) == 5000
        lists.close()  # type: ignore[attr-defined]
        assert reader.count(accounts()) == 90000


def test_a_missing_table_or_column_is_a_clear_error(filled: Ground) -> None:
    with filled.connector().reader() as reader:
        with pytest.raises(SetupError, match="Table ghosts") as caught:
            reader.count(ReadRequest("ghosts", ("a",)))
        assert caught.value.code == "table_missing"
        with pytest.raises(SetupError, match="Column ghost of accounts") as caught:
            next(reader.read(accounts(columns=("ghost",))))
        assert caught.value.code == "column_missing"
        reader.count(accounts())
        filled.execute("DROP TABLE accounts")
        with pytest.raises(SetupError) as caught:
            reader.count(accounts())
        assert caught.value.code == "table_missing"


def test_the_position_moves_with_the_log(filled: Ground) -> None:
    with filled.connector().reader() as reader:
        before = reader.position()
        filled.execute("INSERT INTO accounts (id, number) VALUES (9999, 'x')")
        after = reader.position()
    assert before < after
    assert len(after) == 17


@given(st.integers(0, 2**64 - 1))
def test_positions_keep_their_number(number: int) -> None:
    assert parse_position(format_position(number)) == number


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_positions_sort_as_text(numbers: list[int]) -> None:
    texts = [format_position(number) for number in sorted(numbers)]
    assert texts == sorted(texts)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1))
def test_encoded_rows_decode_to_themselves(rows: list[Row]) -> None:
    lines = encode(rows).decode().split("\n")[:-1]
    decoded = [
        tuple(None if v == "\\N" else unescape(v) for v in line.split("\t"))
        for line in lines
    ]
    assert decoded == rows


def test_any_text_survives_the_wire(any_ground: Ground) -> None:
    texts = ["", "\\", "\\N", "\\.", "a\tb", "a\nb\r\n", "\b\f\v\x01", "é😀", "null"]
    any_ground.execute("CREATE TABLE texts (id serial PRIMARY KEY, value text)")
    with any_ground.session() as connection:
        for text in texts:
            connection.execute("INSERT INTO texts (value) VALUES (%s)", (text,))
    with any_ground.connector().reader() as reader:
        rows = rows_of(reader.read(ReadRequest("texts", ("value",))))
    assert [row[0] for row in rows] == texts


KEYS = st.tuples(
    st.none() | st.integers(-5, 5).map(str),
    st.none() | st.sampled_from(["a", "B", "ä", "'", "\\", "", "b%"]),
)


@pytest.mark.parametrize("primary", [False, True])
@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    keys=st.lists(KEYS, max_size=40),
    chunk_rows=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_a_plan_covers_every_row_exactly_once(
    ground: Ground,
    primary: bool,
    keys: list[tuple[str | None, str | None]],
    chunk_rows: int,
    seed: int,
) -> None:
    if primary:
        keys = sorted({key for key in keys if None not in key}, key=repr)
        random.Random(seed).shuffle(keys)
    limits = ", PRIMARY KEY (a, b)" if primary else ""
    ground.execute(
        "DROP TABLE IF EXISTS things",
        f"CREATE TABLE things (a int, b text, n int{limits})",
    )
    with ground.session() as connection:
        connection.cursor().executemany(
            "INSERT INTO things VALUES (%s, %s, %s)",
            [(*key, n) for n, key in enumerate(keys)],
        )
    request = ReadRequest("things", ("n",), key=("a", "b"))
    with ground.connector().reader() as reader:
        plan = reader.plan(request, chunk_rows)
        found = [numbers(reader, request, chunk) for chunk in plan]
    assert sum(chunk.rows for chunk in plan) == len(keys)
    assert sorted(n for chunk in found for n in chunk) == list(range(len(keys)))
    if primary:
        assert [len(chunk) for chunk in found] == [chunk.rows for chunk in plan]


def numbers(reader: Reader, request: ReadRequest, chunk: ChunkRange) -> Sequence[int]:
    return [int(row[0] or 0) for row in rows_of(reader.read(request, chunk))]
