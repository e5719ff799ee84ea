"""Table schemas as the catalog tells them."""

from __future__ import annotations

import pytest

from syncengine.mapping.schema import ForeignKey, TableSchema, TypeFamily, UniqueKey
from tests.connectors.conftest import Ground

SCHEMA = (
    "CREATE DOMAIN code AS varchar(10) NOT NULL",
    "CREATE DOMAIN status AS code DEFAULT 'open'",
    "CREATE TYPE mood AS ENUM ('calm', 'very angry')",
    "CREATE TABLE groups (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
    "code code UNIQUE, parent bigint REFERENCES groups)",
    "CREATE TABLE regions (a int, b text, PRIMARY KEY (a, b))",
    "CREATE TABLE customers (a int, b text, letters char(3), seen timestamptz(3), "
    "anything numeric, amount numeric(10,2), "
    "twice int GENERATED ALWAYS AS (a * 2) STORED, "
    "group_id bigint REFERENCES groups, status status, mood mood, "
    '"Odd % Name" uuid DEFAULT gen_random_uuid(), ratio real, tags text[], '
    "number serial, born date NOT NULL, "
    "PRIMARY KEY (b, a), FOREIGN KEY (a, b) REFERENCES regions)",
    "CREATE UNIQUE INDEX partial ON customers (letters) WHERE a > 1",
    "CREATE UNIQUE INDEX expression ON customers (lower(letters))",
    "CREATE UNIQUE INDEX covering ON customers (seen) INCLUDE (mood)",
    "ALTER TABLE customers ADD CONSTRAINT late UNIQUE (amount) DEFERRABLE",
    "ALTER TABLE customers REPLICA IDENTITY FULL",
    "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9)",
    "CREATE VIEW seen AS SELECT * FROM groups",
    "CREATE SCHEMA elsewhere",
    "CREATE TABLE elsewhere.things (id int PRIMARY KEY)",
    "CREATE TABLE stray (id int REFERENCES elsewhere.things)",
)


@pytest.fixture
def schema(any_ground: Ground) -> Ground:
    any_ground.execute(*SCHEMA)
    return any_ground


def table(ground: Ground, name: str) -> TableSchema:
    found = ground.connector().tables([name]).table(name)
    assert found is not None
    return found


def test_tables_are_listed_without_partitions_and_views(schema: Ground) -> None:
    names = set(schema.connector().tables().tables)
    assert names == {"groups", "regions", "customers", "parts", "stray"}


def test_named_tables_bring_those_they_refer_to(schema: Ground) -> None:
    found = schema.connector().tables(["CUSTOMERS", "ghosts"])
    assert set(found.tables) == {"customers", "groups", "regions"}
    assert schema.connector().tables(["ghosts"]).tables == {}
    assert schema.connector().tables([]).tables == {}


def test_types_come_with_family_and_limits(schema: Ground) -> None:
    columns = {column.name: column for column in table(schema, "customers").columns}
    types = {name: column.type for name, column in columns.items()}
    assert (types["a"].family, types["a"].bits) == (TypeFamily.INTEGER, 32)
    assert (types["letters"].name, types["letters"].max_length) == ("character(3)", 3)
    assert types["seen"].family is TypeFamily.TIMESTAMPTZ
    assert (types["amount"].precision, types["amount"].scale) == (10, 2)
    assert (types["anything"].precision, types["anything"].scale) == (None, None)
    assert types["status"].name == "character varying(10)"
    assert types["status"].max_length == 10
    assert types["mood"].labels == ("calm", "very angry")
    assert types["Odd % Name"].family is TypeFamily.UUID
    assert (types["ratio"].family, types["ratio"].bits) == (TypeFamily.FLOAT, 32)
    assert types["tags"].family is TypeFamily.OTHER


def test_columns_tell_what_an_insert_must_give(schema: Ground) -> None:
    columns = {column.name: column for column in table(schema, "customers").columns}
    assert [name for name, column in columns.items() if column.required] == [
        "a",
        "b",
        "born",
    ]
    assert columns["status"].has_default
    assert not columns["status"].nullable
    assert columns["number"].has_default
    assert not columns["twice"].writable
    assert not table(schema, "groups").columns[0].writable


def test_only_keys_that_find_one_row_count(schema: Ground) -> None:
    assert table(schema, "customers").keys == (
        UniqueKey("customers_pkey", ("b", "a"), primary=True),
        UniqueKey("covering", ("seen",)),
    )


def test_foreign_keys_keep_their_column_pairs(schema: Ground) -> None:
    assert set(table(schema, "customers").foreign_keys) == {
        ForeignKey("customers_a_b_fkey", ("a", "b"), "regions", ("a", "b")),
        ForeignKey("customers_group_id_fkey", ("group_id",), "groups", ("id",)),
    }
    assert table(schema, "stray").foreign_keys == ()


def test_full_identity_asks_every_partition(schema: Ground) -> None:
    assert table(schema, "customers").full_identity
    assert not table(schema, "groups").full_identity
    assert not table(schema, "parts").full_identity
    schema.execute("ALTER TABLE parts_1 REPLICA IDENTITY FULL")
    assert table(schema, "parts").full_identity
