"""Every pair of types the table of conversions knows, on a real server: a value is
read, converted, written, read and converted back. It arrives, or is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncengine.connectors.base import ReadRequest, Writer
from syncengine.errors import RecordError
from syncengine.mapping.compiled import Row
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import ColumnMap, ColumnMapType, KeyPair, TableMap
from syncengine.mapping.schema import ColumnType, TableSchema, TypeFamily
from syncengine.mapping.types import compatible, converter, equal
from tests.connectors.conftest import Ground
from tests.mapping.sample import FORWARD

LINK = "dw0123456789ab"
CODES = {"value_too_long", "value_out_of_range", "precision_loss", "conversion_failed"}
LONG = "long words " * 10_000
GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
NUMBERS = ["0", "1", "-1", "42"]

# A name for each type, the type, and values as SQL literals: ordinary ones, the
# extremes of the type, and texts that other types can read.
TYPES: list[tuple[str, str, list[str]]] = [
    ("varchar20", "varchar(20)", ["", "äöü€", "a'b\\c", "yes", "2026-03-01", *NUMBERS]),
    ("char5", "char(5)", ["ab", "no", "12"]),
    ("long", "text", [LONG, 'a\nb\t"c"', GUID, "1900-01-01 10:00:00", "aGVsbG8="]),
    ("int2", "smallint", [*NUMBERS, "32767", "-32768"]),
    ("int4", "integer", [*NUMBERS, "2147483647", "192350000"]),
    ("int8", "bigint", [*NUMBERS, "-9223372036854775808"]),
    ("money2", "numeric(12,2)", [*NUMBERS, "9999999999.99", "-0.01"]),
    ("rate10", "numeric(20,10)", [*NUMBERS, "0.0000000001", "1234567890.0123456789"]),
    ("whole5", "numeric(5)", [*NUMBERS, "99999"]),
    ("free", "numeric", [*NUMBERS, "1.50", "NaN", "12345678901234567890.0123456789"]),
    ("float4", "real", [*NUMBERS, "0.1", "1e20", "-0"]),
    ("float8", "double precision", [*NUMBERS, "0.1", "1e300", "NaN", "Infinity"]),
    ("flag", "boolean", ["true", "false"]),
    ("yesno", "yesno", ["Yes", "No"]),
    ("mood", "mood", ["good", "bad", "1"]),
    ("day", "date", ["2026-03-01", "1900-01-01", "9999-12-31", "infinity"]),
    (
        "moment",
        "timestamp",
        ["2026-03-01", "1900-01-01 00:00:00", "2026-03-01 10:30:15.123456"],
    ),
    (
        "zoned",
        "timestamptz",
        ["2026-03-01 00:00+00", "2026-03-01 00:30+02", "infinity"],
    ),
    ("second", "timestamp(0)", ["2026-03-01 10:30:15", "1900-01-01"]),
    ("clock", "time", ["00:00", "23:59:59.999999", "10:30"]),
    ("guid", "uuid", [GUID]),
    ("bytes", "bytea", ["\\x", "\\x00ff10", "\\x" + "ab" * 5_000]),
    ("document", "jsonb", ['{"a": [1, 2.50, null]}', '"text"', "12"]),
    ("plainjson", "json", ['{"a":  1}', "true"]),
    ("short", "shorttext", ["abc", "1"]),
    ("list", "integer[]", ["{1,2}", "{}"]),
    ("address", "inet", ["10.0.0.1"]),
]
ROWS = max(len(values) for *_, values in TYPES)
SETUP = (
    "CREATE TYPE yesno AS ENUM ('No', 'Yes')",
    "CREATE TYPE mood AS ENUM ('good', 'bad', '1')",
    "CREATE DOMAIN shorttext AS varchar(5) CHECK (value <> 'never')",
)


@pytest.fixture
def pairs(ground: Ground) -> Iterator[Pairs]:
    ground.execute(*SETUP)
    columns = ", ".join(f"{name} {type_}" for name, type_, _ in TYPES)
    ground.execute(f"CREATE TABLE source (number integer PRIMARY KEY, {columns})")
    with ground.session() as session:
        for name, type_, values in TYPES:
            for number, value in enumerate(values):
                session.execute(
                    f"INSERT INTO source (number, {name}) VALUES (%s, %s::{type_})"  # type: ignore[arg-type]
                    f" ON CONFLICT (number) DO UPDATE SET {name} = excluded.{name}",
                    [number, value],
                )
    made = Pairs(ground)
    yield made
    made.writer.close()


class Pairs:
    """The source table, and a target table of one type after the other."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.connector = ground.connector()
        self.writer: Writer = self.connector.writer(LINK)
        self.types = self._types(self.connector.tables(["source"]).tables["source"])
        self.values = self.read("source", self.types)

    @staticmethod
    def _types(table: TableSchema) -> dict[str, ColumnType]:
        found = {column.name: column.type for column in table.columns}
        found.pop("number")
        return found

    def read(self, table: str, names: dict[str, ColumnType]) -> list[Row]:
        """The rows of a table, by number."""
        request = ReadRequest(table, ("number", *names), key=("number",))
        with self.connector.reader() as reader:
            rows = [row for part in reader.read(request) for row in part]
        return sorted(rows, key=lambda row: int(row[0] or 0))

    def into(self, name: str, type_: str) -> tuple[int, list[RecordError]]:
        """Carry every value that fits into a table of this type and back; how many
        arrived, and what was refused."""
        target = self.types[name]
        sources = {
            each: known
            for each, known in self.types.items()
            # What is no text of such a type, only its own system can tell.
            if known == target
            or (target.family is not TypeFamily.OTHER and compatible(known, target))
        }
        columns = ", ".join(f"{each} {type_}" for each in sources)
        self.ground.execute(
            f"CREATE TABLE into_{name} (number integer PRIMARY KEY, {columns})"
        )
        refused: list[RecordError] = []
        given: list[Row] = []
        for row in self.values:
            values = dict(zip(("number", *self.types), row, strict=True))
            given.append(
                (
                    values["number"],
                    *(
                        self._forth(known, target, values[each], refused)
                        for each, known in sources.items()
                    ),
                )
            )
        self._load(name, sources, given)
        written = self.read(f"into_{name}", sources)
        arrived = 0
        for row, sent, there in zip(self.values, given, written, strict=True):
            values = dict(zip(("number", *self.types), row, strict=True))
            for each, mine, yours in zip(sources, sent[1:], there[1:], strict=True):
                if mine is None or yours is None:
                    assert mine == yours
                    continue
                assert equal(target, mine, yours), (each, name, mine, yours)
                self._back(self.types[each], target, values[each], yours)
                arrived += 1
        return arrived, refused

    @staticmethod
    def _forth(
        source: ColumnType,
        target: ColumnType,
        value: str | None,
        refused: list[RecordError],
    ) -> str | None:
        convert = converter(source, target)
        if value is None or convert is None:
            return value
        try:
            return convert(value)
        except RecordError as error:
            refused.append(error)
            return None

    @staticmethod
    def _back(
        source: ColumnType, target: ColumnType, before: str | None, value: str
    ) -> None:
        """What was written gives back what was there, or what means the same. Texts
        may spell a value shorter than the column it went through does."""
        back, again = converter(target, source), converter(source, target)
        try:
            returned = value if back is None else back(value)
        except RecordError as error:
            if (source.family, error.code) == (TypeFamily.TEXT, "value_too_long"):
                return
            raise
        repeated = returned if again is None else again(returned)
        assert equal(target, value, repeated), (source.name, target.name, value)
        if source.family is not TypeFamily.TEXT:
            assert equal(source, before, returned), (source.name, before, returned)

    def _load(self, name: str, sources: dict[str, ColumnType], rows: list[Row]) -> None:
        both = ColumnMapType.BOTH
        table_map = TableMap(
            name,
            f"into_{name}",
            f"into_{name}",
            tuple(ColumnMap(each, each, both) for each in ("number", *sources)),
            (KeyPair("number", "number"),),
        )
        schema = self.connector.tables([f"into_{name}"])
        leg = compile_leg(table_map, FORWARD, schema, schema, ())
        result = self.writer.load(leg, rows)
        assert not result.failures, result.failures[0]
        assert result.inserted == len(rows)
        again = self.writer.load(leg, rows)
        assert (again.updated, again.unchanged) == (0, len(rows))


def test_every_pair_of_types_carries_values_or_refuses_them(pairs: Pairs) -> None:
    arrived = 0
    refused: list[RecordError] = []
    for name, type_, _ in TYPES:
        number, errors = pairs.into(name, type_)
        arrived += number
        refused += errors
    assert {error.code for error in refused} == CODES
    for error in refused:
        assert error.value is not None
        assert error.value[:20] in error.message
    assert arrived > 700
    assert len(pairs.values) == ROWS
