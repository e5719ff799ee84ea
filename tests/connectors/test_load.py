"""Bulk loads: counts add up, refused rows stand alone, nothing is written twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from syncengine.connectors.base import LoadResult, Writer
from syncengine.errors import SetupError
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
    TableMap,
)
from syncengine.mapping.schema import CompanyRule
from tests.connectors.conftest import Ground

LINK = "dw0123456789ab"
RULE = CompanyRule("company", "companies", "code")


@dataclass
class Target:
    """A target table, the leg that fills it and a writer."""

    ground: Ground
    leg: CompiledLeg
    writer: Writer

    def row(self, number: str | None, **values: str | None) -> Row:
        """A mapped row, named by target columns."""
        given: dict[str, str | None] = {"company": "USMF", "number": number, **values}
        return tuple(given.get(slot.column) for slot in self.leg.slots)

    def load(self, *rows: Row, insert_only: bool = False) -> LoadResult:
        result = self.writer.load(self.leg, rows, insert_only=insert_only)
        written = result.inserted + result.updated + result.unchanged
        assert written + len(result.failures) == len(rows)
        return result

    def counts(self, *rows: Row, insert_only: bool = False) -> tuple[int, int, int]:
        result = self.load(*rows, insert_only=insert_only)
        assert result.failures == []
        return result.inserted, result.updated, result.unchanged

    def rows(self, columns: str) -> list[tuple[object, ...]]:
        return self.ground.query(f"SELECT {columns} FROM accounts ORDER BY number")


SOURCE = """
CREATE TABLE customers (company text, number text, name text, class text,
    credit numeric(12,2), parent text, PRIMARY KEY (company, number))
"""
TARGET = (
    "CREATE TABLE companies (id int PRIMARY KEY, code text UNIQUE)",
    "CREATE TABLE classes (id int PRIMARY KEY, code text, company int, "
    "UNIQUE (company, code))",
    "CREATE TABLE accounts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "
    "number varchar(20) NOT NULL, company int NOT NULL REFERENCES companies, "
    "name text NOT NULL CHECK (name <> 'bad'), class int REFERENCES classes, "
    "credit numeric(12,2), parent uuid REFERENCES accounts, note text, "
    "UNIQUE (company, number))",
    "INSERT INTO companies VALUES (1, 'USMF'), (2, 'DEMF')",
    "INSERT INTO classes VALUES (10, 'gold', 1), (20, 'gold', 2), (30, 'iron', 2)",
)


def compiled(ground: Ground) -> CompiledLeg:
    both = ColumnMapType.BOTH
    columns = (
        ColumnMap("number", "number", both),
        ColumnMap("name", "name", both),
        ColumnMap("class", "class.code", both),
        ColumnMap("credit", "credit", both),
        ColumnMap("parent", "parent.number", both),
    )
    table_map = TableMap(
        "customers", "customers", "accounts", columns, (KeyPair("number", "number"),)
    )
    return compile_leg(
        table_map,
        Direction.FINOPS_TO_DATAVERSE,
        ground.connector(company=CompanyRule("company")).tables(),
        ground.connector(company=RULE).tables(),
        (LegalEntityPair("USMF", "USMF"), LegalEntityPair("DEMF", "DEMF")),
    )


@pytest.fixture
def target(any_ground: Ground) -> Iterator[Target]:
    any_ground.execute(SOURCE, *TARGET)
    writer = any_ground.connector(company=RULE).writer(LINK)
    yield Target(any_ground, compiled(any_ground), writer)
    writer.close()


def test_new_rows_are_inserted_with_their_references(target: Target) -> None:
    row = target.row("A1", name="Ana", **{"class": "gold"}, credit="1.50")
    other = target.row("A1", name="Bo", **{"class": "gold"}, company="DEMF")
    assert target.counts(row, other) == (2, 0, 0)
    found = target.rows("company, name, class, credit::text")
    assert sorted(found) == [(1, "Ana", 10, "1.50"), (2, "Bo", 20, None)]


def test_only_rows_that_differ_are_written(target: Target) -> None:
    rows = [target.row(f"A{n}", name="x", credit="1.50") for n in range(300)]
    assert target.counts(*rows) == (300, 0, 0)
    before = target.rows("number, ctid::text, xmin::text, xmax::text")
    assert target.counts(*rows) == (0, 0, 300)
    assert target.rows("number, ctid::text, xmin::text, xmax::text") == before
    rows[7] = target.row("A7", name="y")
    assert target.counts(*rows, target.row("B", name="new")) == (1, 1, 299)
    assert len([row for row in target.rows("name") if row == ("y",)]) == 1


def test_columns_outside_the_map_are_left_alone(target: Target) -> None:
    target.load(target.row("A1", name="x"))
    target.ground.execute("UPDATE accounts SET note = 'mine'")
    assert target.counts(target.row("A1", name="y")) == (0, 1, 0)
    assert target.rows("name, note") == [("y", "mine")]


def test_insert_only_leaves_existing_rows_alone(target: Target) -> None:
    target.load(target.row("A1", name="x"))
    rows = [target.row("A1", name="y"), target.row("A2", name="y")]
    assert target.counts(*rows, insert_only=True) == (1, 0, 1)
    assert target.rows("name") == [("x",), ("y",)]


@pytest.mark.parametrize("count", [5, 500])
def test_refused_rows_stand_alone(target: Target, count: int) -> None:
    rows = [target.row(f"A{n:03}", name="good") for n in range(count)]
    rows[1] = target.row("A001", name=None)
    rows[2] = target.row("A002", name="bad")
    rows[3] = target.row("A" * 21, name="long")
    rows[4] = target.row("A004", name="x", credit="99999999999.00")
    result = target.load(*rows)
    assert result.inserted == count - 4
    found = dict(result.failures)
    assert [found[rows[n]].code for n in range(1, 5)] == [
        "required_value_missing",
        "check_violated",
        "value_too_long",
        "value_out_of_range",
    ]
    assert found[rows[1]].column == "name"
    assert found[rows[1]].message == "name of accounts needs a value."
    assert "23502" in found[rows[1]].remote


def test_a_lookup_that_finds_nothing_fails_the_record(target: Target) -> None:
    rows = [
        target.row("A1", name="x", **{"class": "iron"}),
        target.row("A2", name="x", **{"class": "gold"}),
        target.row("A3", name="x", company="XXXX"),
    ]
    result = target.load(*rows)
    assert result.inserted == 1
    (iron, first), (other, second) = result.failures
    assert (iron, first.code, first.column) == (
        rows[0],
        "lookup_not_found",
        "class.code",
    )
    assert "classes has code = 'iron' in company USMF" in first.message
    assert (other, second.code, second.column) == (
        rows[2],
        "lookup_not_found",
        "company.code",
    )


def test_an_ambiguous_lookup_fails_the_record(target: Target) -> None:
    target.ground.execute(
        "ALTER TABLE classes DROP CONSTRAINT classes_company_code_key",
        "INSERT INTO classes VALUES (11, 'gold', 1)",
    )
    result = target.load(target.row("A1", name="x", **{"class": "gold"}))
    assert result.failures[0][1].code == "lookup_ambiguous"


def test_a_row_may_refer_to_another_of_the_same_set(target: Target) -> None:
    rows = [
        target.row("A1", name="child", parent="A2"),
        target.row("A2", name="parent", parent="A3"),
        target.row("A3", name="self", parent="A3"),
        target.row("A4", name="free"),
    ]
    assert target.counts(*rows) == (4, 0, 0)
    query = (
        "SELECT c.number, p.number FROM accounts c LEFT JOIN accounts p "
        "ON p.id = c.parent ORDER BY 1"
    )
    assert target.ground.query(query) == [
        ("A1", "A2"),
        ("A2", "A3"),
        ("A3", "A3"),
        ("A4", None),
    ]
    assert target.counts(*rows) == (0, 0, 4)


def test_a_child_of_a_refused_row_is_refused_too(target: Target) -> None:
    rows = [
        target.row("A1", name="grandchild", parent="A2"),
        target.row("A2", name="child", parent="A3"),
        target.row("A3", name="bad"),
        target.row("A4", name="good", parent="A5"),
        target.row("A5", name="good"),
    ]
    result = target.load(*rows)
    assert result.inserted == 2
    assert {row[: len(row)]: outcome.code for row, outcome in result.failures} == {
        rows[0]: "lookup_not_found",
        rows[1]: "lookup_not_found",
        rows[2]: "check_violated",
    }
    assert target.rows("number, parent IS NULL") == [("A4", False), ("A5", True)]


def test_a_reference_that_may_not_be_null_loads_parents_first(target: Target) -> None:
    target.ground.execute(
        "INSERT INTO accounts (number, company, name) VALUES ('root', 1, 'r')",
        "UPDATE accounts SET parent = id",
        "ALTER TABLE accounts ALTER parent SET NOT NULL",
    )
    target.leg = compiled(target.ground)
    rows = [
        target.row("A1", name="x", parent="A2"),
        target.row("A2", name="x", parent="A3"),
        target.row("A3", name="x", parent="root"),
        target.row("A4", name="x", parent="A5"),
        target.row("A5", name="x", parent="A4"),
    ]
    result = target.load(*rows)
    assert result.inserted == 3
    assert {row: outcome.code for row, outcome in result.failures} == {
        rows[3]: "lookup_not_found",
        rows[4]: "lookup_not_found",
    }


def test_a_key_that_occurs_twice_is_refused_once(target: Target) -> None:
    rows = [target.row("A1", name="x"), target.row("A1", name="y")]
    result = target.load(*rows)
    assert result.inserted == 1
    ((row, outcome),) = result.failures
    assert row == rows[1]
    assert outcome.code == "duplicate_key_in_source"


def test_a_row_without_a_key_is_refused(target: Target) -> None:
    result = target.load(target.row(None, name="x"), target.row("A1", name="x"))
    assert result.inserted == 1
    assert result.failures[0][1].code == "required_value_missing"


def test_a_table_without_a_unique_key_is_loaded_too(target: Target) -> None:
    target.ground.execute(
        "ALTER TABLE accounts DROP CONSTRAINT accounts_company_number_key"
    )
    rows = [target.row(f"A{n}", name="x") for n in range(300)]
    assert target.counts(*rows) == (300, 0, 0)
    rows[0] = target.row("A0", name="y")
    assert target.counts(*rows, target.row("B", name="x")) == (1, 1, 299)


def test_a_refusing_trigger_gives_its_words(target: Target) -> None:
    target.ground.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "IF new.name = 'no' THEN RAISE 'not today'; END IF; RETURN new; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW "
        "EXECUTE FUNCTION refuse()",
    )
    result = target.load(target.row("A1", name="no"), target.row("A2", name="x"))
    assert result.inserted == 1
    ((_, outcome),) = result.failures
    assert outcome.code == "refused_by_trigger"
    assert "not today" in outcome.message


def test_deferred_constraints_are_judged_per_row(target: Target) -> None:
    target.ground.execute(
        "CREATE TABLE allowed (name text PRIMARY KEY)",
        "INSERT INTO allowed VALUES ('x')",
        "ALTER TABLE accounts ADD FOREIGN KEY (name) REFERENCES allowed "
        "DEFERRABLE INITIALLY DEFERRED",
    )
    rows = [target.row(f"A{n}", name="x") for n in range(200)]
    result = target.load(*rows, target.row("B", name="y"))
    assert result.inserted == 200
    ((_, outcome),) = result.failures
    assert (outcome.code, outcome.column) == ("reference_missing", "name")


def test_a_table_that_is_gone_is_no_fault_of_the_rows(target: Target) -> None:
    target.ground.execute("DROP TABLE accounts")
    with pytest.raises(SetupError) as caught:
        target.load(*(target.row(f"A{n}", name="x") for n in range(300)))
    assert caught.value.code == "table_missing"


def test_any_text_can_be_loaded(target: Target) -> None:
    texts = ["\\", "\\N", 'a"b', "a,b", "{}", "NULL", "a\tb\nc\r", "'", "é😀", "", "%s"]
    rows = [target.row(f"A{n:03}", name=text) for n, text in enumerate(texts)]
    assert target.counts(*rows) == (len(texts), 0, 0)
    assert [name for (name,) in target.rows("name")] == texts
    assert target.counts(*rows) == (0, 0, len(texts))
    many = [target.row(f"B{n:03}", name=text) for n, text in enumerate(texts * 20)]
    assert target.counts(*many) == (len(many), 0, 0)
    assert [name for (name,) in target.rows("name")][len(texts) :] == texts * 20
