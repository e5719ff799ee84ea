"""The hashes that databases add up agree with what the map itself says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.registry import connector_for
from syncengine.counterparts import Counterparts
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import Direction, KeyPair, Side, TableMap
from syncengine.reconcile import CompareResult, Comparison
from tests.engine.pair import line
from tests.properties import examples

ERP = """
CREATE TABLE things (
    number integer PRIMARY KEY, words varchar(20), padded char(6), long bigint,
    amount numeric(32,6), free numeric, flag boolean, choice varchar(10),
    moment timestamptz, day date, id uuid, tax integer, note text);
"""
CRM = """
CREATE TABLE things (
    thing bigint PRIMARY KEY, words text, padded varchar(6), long integer,
    amount numeric(19,4), free numeric(10,2), flag integer, choice integer,
    moment timestamp, day timestamptz, id text, tax boolean NOT NULL, note text);
"""
MAP = TableMap(
    "things",
    "things",
    "things",
    (
        line("number", "=", "thing"),
        line("words", "=", "words"),
        line("padded", "=", "padded"),
        line("long", ">", "long"),
        line("amount", "=", "amount"),
        line("free", ">", "free"),
        line("flag", "=", "flag"),
        line("choice", "><", "choice", values={"No": "0", "All": "2"}, default="7"),
        line("moment", "=", "moment"),
        line("day", ">", "day"),
        line("id", ">", "id"),
        line("tax", "=", "tax"),
        line("note", "<", "note"),
    ),
    (KeyPair("number", "thing"),),
)
COLUMNS = {
    "words": (["a", "A", "", "ä\t\\", "\x1f", None], ["a", "A", "", "ä\t\\", None]),
    "padded": (["x", "x  ", None], ["x", "x  ", "", None]),
    "long": (["1", "2147483648", None], ["1", "2", None]),
    "amount": (["1.5", "0.123456", "NaN", None], ["1.5", "0.1235", "NaN", None]),
    "free": (["1.50", "1.5", "1.555", None], ["1.5", "1.56", None]),
    "flag": (["t", "f", None], ["1", "0", "2", None]),
    "choice": (["No", "no", "All", "Some", None], ["0", "2", None]),
    "moment": (
        ["2026-03-01 10:00:00+00", "2026-03-01 12:00:00+02", "infinity", None],
        ["2026-03-01 10:00:00", "2026-03-01 10:00:01", None],
    ),
    "day": (["2026-03-01", None], ["2026-03-01 00:00:00+00", "2026-03-01 05:00+00"]),
    "id": (
        ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None],
        ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99", None],
    ),
    "tax": (["1", "0", "5", None], ["t", "f"]),
    "note": (["n", None], ["n", "m", None]),
}
Changed = dict[str, tuple[str | None, str | None]]
FIRST: Changed = {
    name: (values[0][0], values[1][0]) for name, values in COLUMNS.items()
}


@dataclass
class Things:
    """Two tables with one column for each kind of conversion."""

    erp: psycopg.Connection
    crm: psycopg.Connection
    sides: Counterparts

    def fill(self, records: Sequence[Changed]) -> None:
        """Records that are the same on both sides but for what each changes."""
        names = list(FIRST)
        for side, (on, key) in enumerate(((self.erp, "number"), (self.crm, "thing"))):
            marks = ", ".join(["%s"] * (len(names) + 1))
            with on.transaction(), on.cursor() as cursor:
                cursor.execute("TRUNCATE things")
                cursor.executemany(
                    f"INSERT INTO things ({key}, {', '.join(names)}) VALUES ({marks})",
                    [
                        [number, *((FIRST | one)[name][side] for name in names)]
                        for number, one in enumerate(records)
                    ],
                )

    def judge(self, *, digests: bool) -> CompareResult:
        return Comparison(self.sides, 500, buckets=1024, digests=digests).run()


@pytest.fixture
def things(make_database: Callable[..., str]) -> Iterator[Things]:
    dsns = {side: make_database(prefix=side.value) for side in Side}
    erp, crm = (psycopg.connect(dsns[side], autocommit=True) for side in Side)
    erp.execute(ERP)
    crm.execute(CRM)
    connectors = {
        side: connector_for(
            ConnectionSettings(side.value, side, "postgres", dsns[side])
        )
        for side in Side
    }
    schemas = {side: connectors[side].tables(["things"]) for side in Side}
    legs = {
        way: compile_leg(MAP, way, schemas[way.source], schemas[way.target], ())
        for way in Direction
    }
    yield Things(
        erp,
        crm,
        Counterparts(
            connectors[Side.FINOPS],
            connectors[Side.DATAVERSE],
            legs[Direction.FINOPS_TO_DATAVERSE],
            legs[Direction.DATAVERSE_TO_FINOPS],
        ),
    )
    erp.close()
    crm.close()


def told(result: CompareResult) -> object:
    return (
        result.equal,
        result.different,
        sorted((one.key, one.columns, one.reason) for one in result.examples),
    )


def test_every_rule_of_the_map_has_a_form_to_hash(things: Things) -> None:
    assert things.sides.digests(4) is not None


def test_rows_in_step_have_equal_sums(things: Things) -> None:
    """Otherwise each would be read and judged by itself."""
    things.fill([{}, {}, {}])
    left, right = things.sides.digests(4) or (None, None)
    assert left is not None
    assert right is not None
    with things.sides.left.reader() as here, things.sides.right.reader() as there:
        ours = list(here.digest(things.sides.left_request(), left, 1000))
        theirs = list(there.digest(things.sides.right_request(), right, 1000))
    ours, theirs = (sorted(chain.from_iterable(parts)) for parts in (ours, theirs))
    assert ours == theirs


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        name: st.tuples(st.sampled_from(left), st.sampled_from(right))
        for name, (left, right) in COLUMNS.items()
    },
)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(records=st.lists(CHANGES, min_size=1, max_size=60))
def test_databases_and_row_functions_agree(
    things: Things, records: list[Changed]
) -> None:
    things.fill(records)
    assert told(things.judge(digests=True)) == told(things.judge(digests=False))


def test_each_single_change_is_judged_alike(things: Things) -> None:
    things.fill(
        [
            {name: (mine, yours)}
            for name, (left, right) in COLUMNS.items()
            for mine in left
            for yours in right
        ]
    )
    by_hash = things.judge(digests=True)
    assert told(by_hash) == told(things.judge(digests=False))
    assert by_hash.equal > len(COLUMNS)
