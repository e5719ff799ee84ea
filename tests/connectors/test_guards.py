"""A guard means the same in Python, for live changes, and in SQL, for bulk loads."""

from __future__ import annotations

import pytest
from psycopg import sql

from syncengine.connectors.postgres.arrays import cast_name
from syncengine.connectors.postgres.guarding import allows
from syncengine.mapping.guards import Guard, GuardRule, folded
from syncengine.mapping.schema import ColumnType
from tests.connectors.conftest import Ground
from tests.mapping.sample import (
    BOOLEAN,
    DATE,
    INTEGER,
    JSON,
    TIMESTAMPTZ,
    UUID,
    char,
    numeric,
    text,
)

GUID_ONE = "00000000-0000-0000-0000-000000000001"
GUID_TWO = "00000000-0000-0000-0000-000000000002"

CASES: list[tuple[ColumnType, list[str | None]]] = [
    (text(), ["Draft", "draft", " DRAFT ", "", None, "100%", "Ä", "ä", "It's", "\\"]),
    (char(9), ["Draft    ", "draft    ", "         ", None, "Open     "]),
    (BOOLEAN, ["t", "f", None]),
    (INTEGER, ["1", "0", "192350001", None]),
    (numeric(9, 2), ["1.00", "1.50", "0.00", None]),
    (DATE, ["1900-01-01", "2026-03-01", "infinity", None]),
    (TIMESTAMPTZ, ["1900-01-01 00:00:00+00", "2026-03-01 10:00:00+00", None]),
    (UUID, [GUID_ONE, GUID_TWO, None]),
    (JSON, ['{"a": 1}', "[]", None]),
]


@pytest.mark.parametrize(("type_", "values"), CASES, ids=[c[0].name for c in CASES])
@pytest.mark.parametrize("kept", [False, True])
def test_a_guard_means_the_same_in_python_and_in_sql(
    ground: Ground, type_: ColumnType, values: list[str | None], kept: bool
) -> None:
    first, second = folded(type_, values[:2]), folded(type_, values[-2:])
    everything = folded(type_, values)
    guard = Guard(
        type_,
        (
            GuardRule(first, second, kept),
            GuardRule(second, frozenset(), not kept),
            GuardRule(everything - first - second, everything - second, kept),
        ),
    )
    pairs = [(new, there) for new in values for there in values]
    query = sql.SQL("SELECT {} FROM unnest(%s::{}[], %s::{}[]) AS p(n, t)").format(
        allows(guard, sql.SQL("p.n"), sql.SQL("p.t")),
        *[sql.SQL(cast_name(type_))] * 2,
    )
    with ground.session() as session:
        session.execute("SET DateStyle = 'ISO'; SET TimeZone = 'UTC'")
        found = session.execute(query, list(map(list, zip(*pairs, strict=True))))
        by_sql = [row[0] for row in found.fetchall()]
    assert by_sql == [guard.allows(new, there) for new, there in pairs]
    assert True in by_sql
    assert False in by_sql
