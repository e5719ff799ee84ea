"""Random maps on random tables: a compiled map gives rows or codes and loses nothing;
one that cannot be compiled says why, in codes, and never fails otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.errors import RecordError
from syncengine.mapping.compiler import CompilationError, compile_leg, validate
from syncengine.mapping.decisions import DecisionRule, DecisionTable
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
    LookupDeclaration,
    Side,
    TableMap,
)
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    CompanyRule,
    EnvironmentSchema,
    ForeignKey,
    TableSchema,
    TypeFamily,
    UniqueKey,
)
from syncengine.mapping.types import equal
from tests.mapping.sample import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    NUMERIC,
    SMALLINT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    char,
    enum,
    environment,
    numeric,
    table,
    text,
)
from tests.properties import examples

T = TypeVar("T")
YES_NO = enum("No", "Yes")
TYPES = [
    text(),
    text(8),
    char(4),
    SMALLINT,
    INTEGER,
    BIGINT,
    NUMERIC,
    numeric(6, 2),
    numeric(20, 10),
    DOUBLE,
    BOOLEAN,
    DATE,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIME,
    UUID,
    BINARY,
    JSON,
    YES_NO,
    enum("good", "bad"),
    ColumnType(TypeFamily.OTHER, "point"),
]
WORD = st.text("abcdefghijk XYZäß1", min_size=1, max_size=6).filter(str.strip)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def values(type_: ColumnType) -> st.SearchStrategy[str]:
    """Canonical texts of a type."""
    match type_.family:
        case TypeFamily.INTEGER:
            limit = 1 << ((type_.bits or 64) - 1)
            return st.integers(-limit, limit - 1).map(str)
        case TypeFamily.DECIMAL:
            places = type_.scale if type_.precision else 4
            whole = (type_.precision or 12) - (places or 0)
            most = 10**whole - 1
            return st.decimals(-most, most, places=places).map(lambda d: f"{d:f}")
        case TypeFamily.FLOAT:
            return st.integers(-(10**6), 10**6).map(str)
        case TypeFamily.BOOLEAN:
            return st.sampled_from(["t", "f"])
        case TypeFamily.DATE:
            return st.dates().map(str)
        case TypeFamily.TIMESTAMP | TypeFamily.TIMESTAMPTZ:
            zone = "+00" if type_.family is TypeFamily.TIMESTAMPTZ else ""
            return st.datetimes().map(lambda at: _moment(str(at)) + zone)
        case TypeFamily.TIME:
            return st.times().map(lambda at: _moment(str(at)))
        case TypeFamily.UUID:
            return st.uuids().map(str)
        case TypeFamily.BINARY:
            return st.binary(max_size=6).map(lambda each: "\\x" + each.hex())
        case TypeFamily.JSON:
            return st.sampled_from(["{}", '{"a": 1}', "[1, 2]", '"x"'])
        case TypeFamily.ENUM:
            return st.sampled_from(type_.labels)
        case TypeFamily.TEXT if type_.name.startswith("character("):
            width = type_.max_length or 1
            return TEXT.map(lambda each: each[:width].ljust(width))
    return TEXT.map(lambda each: each[: type_.max_length])


def _moment(text_: str) -> str:
    return text_.rstrip("0").rstrip(".") if "." in text_ else text_


# Round trips

LOSSLESS = [
    (one, other)
    for one in TYPES
    for other in TYPES
    if one == other
    or (one, other)
    in (
        (SMALLINT, INTEGER),
        (INTEGER, BIGINT),
        (INTEGER, NUMERIC),
        (numeric(6, 2), numeric(20, 10)),
        (numeric(6, 2), NUMERIC),
        (INTEGER, text()),
        (DATE, TIMESTAMP),
        (DATE, TIMESTAMPTZ),
        (TIMESTAMP, TIMESTAMPTZ),
        (UUID, text()),
        (BINARY, text()),
        (BOOLEAN, YES_NO),
        (BOOLEAN, INTEGER),
        (text(8), text()),
    )
]


@st.composite
def lossless_lines(draw: st.DrawFn) -> tuple[ColumnMap, ColumnType, ColumnType, Any]:
    """A line that loses nothing, the types of its ends, and a value for it: equal, or
    through a value map with one pair for each value."""
    if draw(st.booleans()):
        left, right = draw(st.sampled_from(LOSSLESS))
        value = draw(st.none() | values(left))
        return ColumnMap("", "", ColumnMapType.BOTH), left, right, value
    left, right = (
        draw(st.sampled_from([text(), INTEGER, BOOLEAN, YES_NO])) for _ in "ab"
    )
    plain = [
        draw(
            st.lists(
                values(each).filter(
                    lambda v: v.strip().casefold() not in ("", "blank")
                ),
                min_size=1,
                max_size=2 if each in (BOOLEAN, YES_NO) else 4,
                unique_by=lambda v: v.strip().casefold(),
            )
        )
        for each in (left, right)
    ]
    pairs = list(zip(*plain, strict=False))
    blank = draw(st.sampled_from(["", "left", "right"]))
    chosen: list[str | None] = [pair[0] for pair in pairs]
    if blank:
        if blank == "left":
            pairs[0], chosen[0] = ("blank", pairs[0][1]), None
        else:
            pairs[0] = (pairs[0][0], "blank")
    line = ColumnMap("", "", ColumnMapType.BOTH_TRANSFORM, values=tuple(pairs))
    return line, left, right, draw(st.sampled_from(chosen))


FORTH, BACK = Direction.FINOPS_TO_DATAVERSE, Direction.DATAVERSE_TO_FINOPS


@settings(deadline=None, max_examples=examples(100))
@given(st.lists(lossless_lines(), min_size=1, max_size=5))
def test_what_flows_both_ways_comes_back_as_it_was(
    drawn: list[tuple[ColumnMap, ColumnType, ColumnType, Any]],
) -> None:
    lines = [
        replace(line, finops=f"l{i}", dataverse=f"r{i}")
        for i, (line, *_) in enumerate(drawn)
    ]
    key = ColumnMap("number", "number", ColumnMapType.BOTH)
    table_map = TableMap(
        "m", "left", "right", (key, *lines), (KeyPair("number", "number"),)
    )
    sides = {
        Side.FINOPS: _side("left", {f"l{i}": each[1] for i, each in enumerate(drawn)}),
        Side.DATAVERSE: _side(
            "right", {f"r{i}": each[2] for i, each in enumerate(drawn)}
        ),
    }
    legs = {
        way: compile_leg(table_map, way, sides[way.source], sides[way.target], ())
        for way in Direction
    }
    row = ("1", *(each[3] for each in drawn))
    there = legs[FORTH].bind(("number", *(line.finops or "" for line in lines)))
    back = legs[BACK].bind(("number", *(line.dataverse or "" for line in lines)))
    returned = back.map(there.map(row, ()), ())
    for (_, type_, _, value), again in zip(drawn, returned[1:], strict=True):
        assert equal(type_, value, again), (value, again)


def _side(name: str, columns: dict[str, ColumnType]) -> EnvironmentSchema:
    made: EnvironmentSchema = environment(
        name,
        None,
        table(name, {"number": text(20), **columns}, primary=("number",)),
    )
    return made


# Anything at all. Drawing each part by itself would take longer than compiling, so a
# number is drawn and everything else follows from it.

NAMES = ["a", "b", "c", "d", "company", "fk", "other"]
PATHS = [*NAMES, "none", "fk.a", "fk.b", "fk.fk.a", "nothing", "", ".", "fk."]
PATHS += ["fk.Other(a).Left(b)", "fk.Other(", "fk.(a, b)"]
WORDS = ["", "x", "1", "0", "yes", "blank", "True", "1/1/1900", "2026-03-01", "good"]
EXPRESSIONS = ["a", "a +", "concat(a, fk.a)", "round(b / c, 2)", "upper(a)", "1"]
EXPRESSIONS += ["d == a", "if(a == b, c, null)", "coalesce(a, text(b))", "c * 2"]
FILTERS = ["", 'a == "x"', "b == 1", "a eq 'x'", "c eq null", "(", "fk.a eq 1"]
COMPANIES = [CompanyRule("company"), CompanyRule("company", "other", "b")]
SAMPLES = ["", "x", "1", "0", "t", "f", "1.00", "1900-01-01", "2026-03-01 10:00:00"]
SAMPLES += ["usmf", "USMF", "Yes", "good", "12:00:00", "\\x00", "{}", "a longer text"]
SAMPLES += ["00000000-0000-0000-0000-000000000001", "2026-03-01 00:00:00+00", "NaN"]


class Anything:
    """Maps and tables that follow from a number."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sane = self.chance(0.7)
        """Mostly what could be meant, so that some of it can run."""

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def some(self, choices: Sequence[T], most: int, least: int = 0) -> tuple[T, ...]:
        number = self.random.randint(least, most)
        return tuple(self.random.choice(choices) for _ in range(number))

    def path(self) -> str | None:
        odd = not self.sane or self.chance(0.1)
        return self.random.choice([None, *PATHS] if odd else NAMES)

    def environment(self, name: str) -> EnvironmentSchema:
        """Two tables with columns of any type, keys, references, perhaps a company."""
        return EnvironmentSchema(
            name,
            {each: self.table(each) for each in ("left", "other")},
            None if self.sane and self.chance(0.8) else self.random.choice(COMPANIES),
        )

    def table(self, name: str) -> TableSchema:
        names = [each for each in NAMES if self.chance(0.9 if self.sane else 0.6)]
        names = names or ["a"]
        types = {each: TYPES[i] for i, each in enumerate(NAMES)} if self.sane else {}
        columns = tuple(
            Column(
                column,
                types[column]
                if types and self.chance(0.8)
                else self.random.choice(TYPES),
                nullable=self.chance(0.7),
                has_default=self.chance(0.7),
                writable=self.chance(0.95),
            )
            for column in names
        )
        keys = (
            UniqueKey("pk", tuple(names[:1]), primary=True),
            UniqueKey("uk", tuple(names[:2])),
        )
        references = (ForeignKey("fk", ("fk",), "other", ("a",)),)
        return TableSchema(name, columns, keys, references if "fk" in names else ())

    def map(self) -> TableMap:
        """A map of any lines, keys, filters and lookups."""
        lines = [
            self.line() for _ in range(self.random.randint(0, 3 if self.sane else 6))
        ]
        keys = self.some([KeyPair(one, one) for one in PATHS], 2)
        if self.sane:
            keys = (KeyPair("a", "a"),)
            lines.insert(0, ColumnMap("a", "a", ColumnMapType.BOTH))
        side = self.random.choice(list(Side))
        lookup = LookupDeclaration(side, self.random.choice(NAMES), "other", "a")
        return TableMap(
            "m",
            "left" if self.sane else self.random.choice(["left", "LEFT", "missing"]),
            "left" if self.sane else self.random.choice(["left", "other"]),
            tuple(lines),
            keys,
            finops_filter=self.filter(),
            dataverse_filter=self.filter(),
            lookups=(lookup,) if self.chance(0.3) else (),
        )

    def filter(self) -> str:
        return "" if self.sane and self.chance(0.9) else self.random.choice(FILTERS)

    def line(self) -> ColumnMap:
        """A plain line, or one with a rule."""
        random = self.random
        kind = random.choice(["plain", "values", "decision", "expression", "anything"])
        anything = kind == "anything"
        line = ColumnMap(self.path(), self.path(), random.choice(list(ColumnMapType)))
        if kind == "values" or (anything and self.chance(0.3)):
            pairs = [(one, random.choice(WORDS)) for one in self.some(WORDS, 3)]
            line = replace(line, values=tuple(pairs))
        if kind == "decision" or (anything and self.chance(0.3)):
            line = replace(line, decision=self.decision())
        if kind == "expression" or (anything and self.chance(0.3)):
            line = replace(line, expression=random.choice(EXPRESSIONS))
        if line.computed and self.chance(0.8):
            symbol = random.choice([">>", "<<"])
            ends = (None, self.path()) if symbol == ">>" else (self.path(), None)
            line = replace(
                line,
                finops=ends[0],
                dataverse=ends[1],
                type=ColumnMapType(symbol),
                values=None,
            )
        return replace(
            line,
            default=random.choice([None, None, *WORDS]),
            value_map="YN" if self.chance(0.05) else None,
            sticky=self.chance(0.1),
        )

    def decision(self) -> DecisionTable:
        sources = self.some(NAMES if self.sane else PATHS, 2, 1)
        rules = []
        for _ in range(self.random.randint(0 if self.chance(0.1) else 1, 3)):
            width = len(sources) if self.chance(0.95) else 1
            when = tuple(self.some(WORDS, 2) for _ in range(width))
            present = self.some(WORDS, 2) if self.chance(0.3) else None
            rules.append(DecisionRule(when, self.random.choice(WORDS), present))
        return DecisionTable(sources, tuple(rules))


SEEN: Counter[str] = Counter()


@settings(deadline=None, max_examples=examples(600))
@given(st.integers(0, 2**40))
def try_any_map(seed: int) -> None:
    made = Anything(seed)
    table_map = made.map()
    sides = {side: made.environment(side.value) for side in Side}
    linked = (LegalEntityPair("usmf", "USMF"),)
    findings = validate(table_map, sides[Side.FINOPS], sides[Side.DATAVERSE], linked)
    for finding in findings:
        assert all((finding.code, finding.message, finding.cure)), finding
    for way in Direction:
        try:
            leg = compile_leg(
                table_map, way, sides[way.source], sides[way.target], linked
            )
        except CompilationError as error:
            SEEN.update(finding.code for finding in error.findings)
            continue
        SEEN["compiled"] += 1
        bound = leg.bind(leg.source_paths)
        for _ in range(5):
            row = tuple(made.random.choice([None, *SAMPLES]) for _ in bound.columns)
            try:
                mapped = bound.map(row, ())
            except RecordError as error:
                SEEN[error.code] += 1
                continue
            SEEN["mapped"] += 1
            assert len(mapped) == len(leg.slots)


@pytest.mark.hypothesis
def test_any_map_on_any_tables_runs_or_is_refused_with_codes() -> None:
    SEEN.clear()
    try_any_map()
    assert min(SEEN["compiled"], SEEN["mapped"]) > 20, SEEN
    assert len(SEEN) > 20, SEEN
