"""Conversions between type families, one by one and by properties."""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import RecordError
from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.types import (
    compatible,
    converter,
    equal,
    normalise,
    parse_literal,
)
from tests.mapping.sample import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    NUMERIC,
    REAL,
    SMALLINT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    char,
    enum,
    numeric,
    text,
)

TIMESTAMP_0 = ColumnType(TypeFamily.TIMESTAMP, "timestamp(0) without time zone")
MOOD = enum("good", "bad")
POINT = ColumnType(TypeFamily.OTHER, "point")
BOX = ColumnType(TypeFamily.OTHER, "box")


def convert(source: ColumnType, target: ColumnType, value: str) -> str:
    conversion = converter(source, target)
    return value if conversion is None else conversion(value)


def refusal(source: ColumnType, target: ColumnType, value: str) -> RecordError:
    with pytest.raises(RecordError) as caught:
        convert(source, target, value)
    return caught.value


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (text(20), text(20)),
        (text(20), text(100)),
        (text(20), text()),
        (char(5), char(5)),
        (SMALLINT, BIGINT),
        (INTEGER, numeric(12)),
        (INTEGER, NUMERIC),
        (numeric(10, 2), numeric(12, 2)),
        (numeric(10, 2), NUMERIC),
        (numeric(10, 2), text(20)),
        (INTEGER, text(11)),
        (REAL, DOUBLE),
        (TIMESTAMP, TIMESTAMP),
        (UUID, text(36)),
        (MOOD, text(4)),
        (DATE, text()),
        (JSON, ColumnType(TypeFamily.JSON, "json")),
    ],
)
def test_it_passes_values_through_where_nothing_can_be_lost(
    source: ColumnType, target: ColumnType
) -> None:
    assert converter(source, target) is None


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        (text(50), text(3), "äöü", "äöü"),
        (char(5), text(3), "ab   ", "ab"),
        (char(5), INTEGER, "12   ", "12"),
        (text(), INTEGER, " 42 ", "42"),
        (text(), INTEGER, "-7.00", "-7"),
        (text(), INTEGER, "007", "7"),
        (text(), INTEGER, "000", "0"),
        (text(), numeric(10, 2), "100.5", "100.50"),
        (text(), numeric(10, 2), "1e2", "100.00"),
        (text(), NUMERIC, "+0012.50", "12.50"),
        (text(), numeric(10, 2), "-0", "0.00"),
        (text(), NUMERIC, "nan", "NaN"),
        (text(), DOUBLE, "0.10", "0.1"),
        (text(), DOUBLE, "100", "100"),
        (text(), DOUBLE, "1e20", "1e+20"),
        (text(), DOUBLE, "0.00001", "1e-05"),
        (text(), DOUBLE, "5.5729728151905037e+17", "5.5729728151905037e+17"),
        (text(), REAL, "0.1", "0.1"),
        (text(), BOOLEAN, "True", "t"),
        (text(), BOOLEAN, "no", "f"),
        (text(), DATE, "2026-03-01", "2026-03-01"),
        (text(), DATE, "2026-03-01T00:00:00Z", "2026-03-01"),
        (text(), TIMESTAMP, "2026-03-01", "2026-03-01 00:00:00"),
        (text(), TIMESTAMP, "2026-03-01 10:00:00.500", "2026-03-01 10:00:00.5"),
        (text(), TIMESTAMPTZ, "2026-03-01T10:00:00+02:00", "2026-03-01 08:00:00+00"),
        (text(), TIMESTAMPTZ, "2026-03-01 10:00", "2026-03-01 10:00:00+00"),
        (text(), TIME, "10:00", "10:00:00"),
        (
            text(),
            UUID,
            "{6F9619FF-8B86-D011-B42D-00C04FC964FF}",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        ),
        (text(), MOOD, "good", "good"),
        (text(), JSON, '{"a": 1}', '{"a": 1}'),
        (INTEGER, numeric(12, 2), "5", "5.00"),
        (BIGINT, INTEGER, "2147483647", "2147483647"),
        (BIGINT, DOUBLE, "9007199254740992", "9.007199254740992e+15"),
        (INTEGER, BOOLEAN, "1", "t"),
        (numeric(10, 2), INTEGER, "12.00", "12"),
        (numeric(10, 2), numeric(10, 4), "1.25", "1.2500"),
        (numeric(5), numeric(10, 2), "12", "12.00"),
        (numeric(10, 2), numeric(10, 4), "NaN", "NaN"),
        (numeric(10, 4), numeric(10, 2), "1.2500", "1.25"),
        (numeric(10, 4), numeric(10), "3.0000", "3"),
        (numeric(10, 2), DOUBLE, "100.50", "100.5"),
        (DOUBLE, numeric(10, 2), "100.5", "100.50"),
        (DOUBLE, numeric(25), "1e+20", "100000000000000000000"),
        (DOUBLE, REAL, "0.1", "0.1"),
        (BOOLEAN, text(5), "f", "false"),
        (BOOLEAN, INTEGER, "t", "1"),
        (BOOLEAN, numeric(5, 2), "t", "1.00"),
        (numeric(5, 2), BOOLEAN, "0.00", "f"),
        (BOOLEAN, enum("No", "Yes"), "t", "Yes"),
        (enum("YES", "NO"), BOOLEAN, "NO", "f"),
        (BINARY, text(), "\\x00ff", "AP8="),
        (text(), BINARY, " AP8= ", "\\x00ff"),
        (text(), BINARY, "", "\\x"),
        (DATE, TIMESTAMP, "2026-03-01", "2026-03-01 00:00:00"),
        (DATE, TIMESTAMPTZ, "2026-03-01", "2026-03-01 00:00:00+00"),
        (DATE, TIMESTAMP, "0044-03-15 BC", "0044-03-15 00:00:00 BC"),
        (DATE, TIMESTAMP, "infinity", "infinity"),
        (TIMESTAMP, DATE, "2026-03-01 00:00:00", "2026-03-01"),
        (TIMESTAMPTZ, DATE, "2026-03-01 00:00:00+00", "2026-03-01"),
        (TIMESTAMPTZ, DATE, "0044-03-15 00:00:00+00 BC", "0044-03-15 BC"),
        (TIMESTAMP, TIMESTAMPTZ, "2026-03-01 10:00:00.5", "2026-03-01 10:00:00.5+00"),
        (TIMESTAMP, TIMESTAMPTZ, "infinity", "infinity"),
        (TIMESTAMPTZ, TIMESTAMP, "2026-03-01 10:00:00+00", "2026-03-01 10:00:00"),
        (TIMESTAMPTZ, TIMESTAMP_0, "2026-03-01 10:00:00+00", "2026-03-01 10:00:00"),
        (MOOD, enum("bad", "good", "fair"), "bad", "bad"),
    ],
)
def test_it_converts(
    source: ColumnType, target: ColumnType, value: str, expected: str
) -> None:
    assert convert(source, target, value) == expected


@pytest.mark.parametrize(
    ("source", "target", "value", "code", "words"),
    [
        (text(50), text(5), "too long", "value_too_long", "8 characters"),
        (UUID, text(10), "6f9619ff-8b86-d011-b42d-00c04fc964ff", "value_too_long", ""),
        (BIGINT, INTEGER, "2147483648", "value_out_of_range", "2147483647"),
        (BIGINT, SMALLINT, "-32769", "value_out_of_range", "-32768"),
        (text(), INTEGER, "1.5", "precision_loss", "whole"),
        (text(), INTEGER, "12a", "conversion_failed", "not a number"),
        (text(), INTEGER, "", "conversion_failed", "not a number"),
        (text(), INTEGER, "1_000", "conversion_failed", "not a number"),
        (text(), INTEGER, "\u0661", "conversion_failed", "not a number"),
        (text(), numeric(5, 2), "1234.5", "value_out_of_range", "at most 3 digits"),
        (text(), numeric(5, 2), "1.005", "precision_loss", "2 digits"),
        (text(), numeric(5, 2), "Infinity", "value_out_of_range", "finite"),
        (text(), NUMERIC, "1e999999", "value_out_of_range", ""),
        (numeric(10, 4), numeric(10, 2), "1.2345", "precision_loss", "2 digits"),
        (numeric(10, 2), numeric(5, 2), "12345.00", "value_out_of_range", "3 digits"),
        (numeric(30, 2), DOUBLE, "1234567890123456.78", "precision_loss", ""),
        (text(), DOUBLE, "1e400", "value_out_of_range", ""),
        (text(), REAL, "1e39", "value_out_of_range", ""),
        (DOUBLE, REAL, "0.123456789", "precision_loss", ""),
        (DOUBLE, INTEGER, "1.5", "precision_loss", ""),
        (BIGINT, DOUBLE, "9007199254740993", "precision_loss", ""),
        (INTEGER, BOOLEAN, "2", "value_out_of_range", "0 and 1"),
        (NUMERIC, BOOLEAN, "0.5", "value_out_of_range", "0 and 1"),
        (NUMERIC, BOOLEAN, "NaN", "value_out_of_range", "0 and 1"),
        (BOOLEAN, numeric(2, 2), "t", "value_out_of_range", ""),
        (BINARY, text(3), "\\x00ff", "value_too_long", "4 characters"),
        (text(), BINARY, "AP8", "conversion_failed", "base64"),
        (text(), BINARY, "\\x00ff", "conversion_failed", "base64"),
        (text(), BOOLEAN, "maybe", "conversion_failed", "neither"),
        (text(), DATE, "2026-02-30", "conversion_failed", "not a date"),
        (text(), DATE, "01/02/2026", "conversion_failed", "not a date"),
        (text(), DATE, "2026-03-01 10:00:00", "precision_loss", "time of day"),
        (text(), TIMESTAMP, "2026-03-01 25:00:00", "conversion_failed", ""),
        (text(), TIMESTAMP, "2026-03-01 10:00:00.1234567", "precision_loss", "6"),
        (text(), TIME, "25:00", "conversion_failed", ""),
        (text(), UUID, "abc", "conversion_failed", "GUID"),
        (text(), MOOD, "Good", "conversion_failed", "good, bad"),
        (text(), JSON, "{", "conversion_failed", "JSON"),
        (TIMESTAMP, DATE, "2026-03-01 00:00:01", "precision_loss", "time of day"),
        (TIMESTAMP, TIMESTAMP_0, "2026-03-01 10:00:00.5", "precision_loss", "0 digits"),
        (DATE, TIMESTAMP, "300000-01-01", "value_out_of_range", "294276"),
        (MOOD, enum("good"), "bad", "conversion_failed", "good"),
        (DATE, INTEGER, "2026-03-01", "conversion_failed", "date"),
    ],
)
def test_it_refuses_what_would_be_lost(
    source: ColumnType, target: ColumnType, value: str, code: str, words: str
) -> None:
    error = refusal(source, target, value)
    assert error.code == code
    assert words in error.message
    assert error.value == value
    assert not value or value[:20] in error.message


def test_it_cuts_long_values_in_sentences() -> None:
    error = refusal(text(), text(5), "x" * 500)
    assert len(error.message) < 200
    assert "500 characters" in error.message


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (DATE, INTEGER),
        (INTEGER, DATE),
        (UUID, INTEGER),
        (BOOLEAN, DATE),
        (BINARY, JSON),
        (enum("No", "Yes", "Perhaps"), BOOLEAN),
        (BOOLEAN, MOOD),
        (TIME, DATE),
        (MOOD, INTEGER),
        (BOOLEAN, DOUBLE),
        (POINT, BOX),
    ],
)
def test_it_knows_which_types_do_not_fit(
    source: ColumnType, target: ColumnType
) -> None:
    assert not compatible(source, target)


@given(st.sampled_from(list(TypeFamily)), st.sampled_from(list(TypeFamily)))
def test_what_fits_one_way_fits_back_except_from_a_boolean_or_into_one(
    one: TypeFamily, two: TypeFamily
) -> None:
    a, b = ColumnType(one, "same"), ColumnType(two, "same")
    assert compatible(a, b) == compatible(b, a)
    assert compatible(a, a)


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        ("true", BOOLEAN, "t"),
        ("Yes", BOOLEAN, "t"),
        ("1", BOOLEAN, "t"),
        ("False", BOOLEAN, "f"),
        ("3", INTEGER, "3"),
        ("1.0000000000", numeric(12, 4), "1.0000"),
        ("Organization", enum("Organization", "Person"), "Organization"),
        ("organization", enum("Organization", "Person"), "Organization"),
        ("PartyType::Person", enum("Organization", "Person"), "Person"),
        ("Organization", text(20), "Organization"),
        ("1/1/1900", DATE, "1900-01-01"),
        ("1/1/1900", TIMESTAMPTZ, "1900-01-01 00:00:00+00"),
    ],
)
def test_it_reads_what_an_administrator_writes(
    written: str, type_: ColumnType, expected: str
) -> None:
    assert parse_literal(written, type_) == expected


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        ("3.5", INTEGER),
        ("maybe", BOOLEAN),
        ("Robot", enum("Organization", "Person")),
        ("toolong", text(3)),
        ("13/13/1900", DATE),
        ("1.23456", numeric(5, 2)),
    ],
)
def test_it_refuses_literals_that_cannot_stand_in_the_column(
    written: str, type_: ColumnType
) -> None:
    with pytest.raises(RecordError) as caught:
        parse_literal(written, type_)
    assert caught.value.code == "conversion_failed"


@pytest.mark.parametrize(
    ("type_", "a", "b", "same"),
    [
        (text(), "a", "a ", False),
        (char(5), "a    ", "a", True),
        (numeric(10, 2), "1.50", "1.5", True),
        (NUMERIC, "NaN", "NaN", True),
        (NUMERIC, "NaN", "1", False),
        (DOUBLE, "1e+15", "1000000000000000", True),
        (INTEGER, "1", "2", False),
        (BOOLEAN, "t", "true", True),
        (TIMESTAMP, "2026-03-01 10:00:00", "2026-03-01 10:00:00.000", True),
        (TIMESTAMPTZ, "2026-03-01 10:00:00+00", "2026-03-01 12:00:00+02", True),
        (UUID, "6F9619FF-8B86-D011-B42D-00C04FC964FF".lower(), "x", False),
        (JSON, '{"a":1,"b":2}', '{"b": 2, "a": 1}', True),
        (JSON, '{"a":1.0}', '{"a":1.1}', False),
        (BINARY, "\\x0A", "\\x0a", True),
        (DATE, "0044-03-15 BC", "0044-03-15", False),
        (text(), None, "", False),
        (text(), None, None, True),
    ],
)
def test_it_compares_meanings(
    type_: ColumnType, a: str | None, b: str | None, same: bool
) -> None:
    assert equal(type_, a, b) is same


def test_it_gives_values_the_digits_of_their_column() -> None:
    assert normalise(numeric(10, 2), "100.5") == "100.50"
    assert normalise(char(5), "ab   ") == "ab"
    assert normalise(TIMESTAMP, "2026-03-01 10:00:00.120") == "2026-03-01 10:00:00.12"
    assert normalise(DATE, "0044-03-15 BC") == "0044-03-15 BC"


DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**8), max_value=10**8, places=2
)


@given(DECIMALS)
def test_decimals_survive_every_wider_column_and_come_back(number: Decimal) -> None:
    value = normalise(numeric(12, 2), str(number))
    for wide in (numeric(14, 4), NUMERIC, text(), DOUBLE):
        there = convert(numeric(12, 2), wide, value)
        assert equal(numeric(12, 2), convert(wide, numeric(12, 2), there), value)


@given(
    st.integers(-(10**14), 10**14),
    st.integers(0, 4),
    st.integers(1, 9),
    st.integers(0, 4),
)
def test_decimals_of_any_two_columns_arrive_or_are_refused(
    digits: int, scale: int, precision: int, other: int
) -> None:
    source, target = numeric(15, scale), numeric(precision, min(other, precision))
    value = normalise(source, str(Decimal(digits).scaleb(-scale)))
    arrived, code = outcome(source, target, value)
    assert (arrived, code) == outcome(text(), target, value)
    assert code or normalise(target, arrived) == arrived


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_text_and_come_back(number: float) -> None:
    there = convert(text(), DOUBLE, repr(number))
    assert float(there) == number
    assert convert(text(), DOUBLE, there) == there


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_single_floats_survive_double_ones(number: float) -> None:
    packed = struct.pack("<f", number)
    digits = next(d for d in range(6, 10) if _single(f"{number:.{d}g}") == packed)
    value = convert(text(), REAL, f"{number:.{digits}g}")
    assert convert(DOUBLE, REAL, convert(REAL, DOUBLE, value)) == value


def _single(value: str) -> bytes:
    return struct.pack("<f", float(value))


@given(st.datetimes())
def test_moments_survive_the_other_family_and_text(moment: datetime) -> None:
    value = moment.isoformat(sep=" ")
    canonical = normalise(TIMESTAMP, value)
    zoned = convert(TIMESTAMP, TIMESTAMPTZ, canonical)
    assert convert(TIMESTAMPTZ, TIMESTAMP, zoned) == canonical
    assert convert(text(), TIMESTAMPTZ, zoned) == zoned


def outcome(source: ColumnType, target: ColumnType, value: str) -> tuple[str, str]:
    """The converted value, or the code of the refusal."""
    try:
        return convert(source, target, value), ""
    except RecordError as error:
        return "", error.code


KNOWN = {"", "value_out_of_range", "precision_loss", "value_too_long"}


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_integers_either_arrive_whole_or_are_refused(number: int) -> None:
    for target in (SMALLINT, INTEGER, DOUBLE, REAL, numeric(9, 2), text(6)):
        arrived, code = outcome(BIGINT, target, str(number))
        assert code in KNOWN
        assert code or Decimal(arrived) == number


@given(st.text(max_size=30), st.sampled_from([INTEGER, DATE, UUID, numeric(9, 2)]))
def test_any_text_converts_or_is_refused_with_a_known_code(
    value: str, target: ColumnType
) -> None:
    assert outcome(text(), target, value)[1] in KNOWN | {"conversion_failed"}


def test_a_boolean_too_long_for_the_column_is_refused() -> None:
    assert outcome(BOOLEAN, text(4), "t") == ("true", "")
    assert outcome(BOOLEAN, text(4), "f") == ("", "value_too_long")
