"""A decision table as the grid of its line: cells to rules and back (pure)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from syncengine.mapping.decisions import ALWAYS, ANY, DecisionRule, DecisionTable
from syncengine.mapping.model import ColumnMap, ColumnMapType, HealthFinding, Side

MOST_RULES, MOST_SOURCES = 1_000, 20
NOTHING = "-"
"""How a cell says that a result is written over no present value at all."""
_TO = {
    Side.DATAVERSE: ColumnMapType.TO_DATAVERSE_TRANSFORM,
    Side.FINOPS: ColumnMapType.TO_FINOPS_TRANSFORM,
}


class Fields(Protocol):
    """What a form sends: several values under one name."""

    def get(self, key: str, default: str = ...) -> str | None:
        """The last value of a name."""

    def getlist(self, key: str) -> list[str]:
        """All values of a name."""


@dataclass(frozen=True)
class Row:
    """A rule as cells; `number` counts from 1."""

    number: int
    when: Sequence[str]
    then: str
    present: str


@dataclass(frozen=True)
class Grid:
    """The table after a step of the grid, the cell that gets the focus (`rule-column`,
    or `source-column`), and what is to be told."""

    table: DecisionTable
    focus: str = ""
    notes: tuple[str, ...] = ()


# -- cells --------------------------------------------------------------------------


def read_cell(text: str) -> tuple[str, ...]:
    """The values of a condition: with a comma between, quoted where one holds a comma;
    an empty cell and `*` always hold."""
    text = _clean(text).strip()
    if text in ("", ANY):
        return ALWAYS
    cells = next(csv.reader(io.StringIO(text), skipinitialspace=True), [])
    values = [cell.strip() for cell in cells]
    return tuple(value for value in values if value or '""' in text)


def write_cell(values: Sequence[str]) -> str:
    """The cell that `read_cell` reads these values from."""
    return ", ".join(_quoted(value) for value in values)


def _quoted(value: str) -> str:
    plain = value == value.strip() and value not in ("", ANY, NOTHING)
    if plain and not any(each in value for each in ',"'):
        return value
    inside = value.replace('"', '""')
    return f'"{inside}"'


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\r", "").replace("\n", " ")


def _read_present(text: str) -> tuple[str, ...] | None:
    if text.strip() == NOTHING:
        return ()
    return read_cell(text) or None


def _write_present(present: Sequence[str] | None) -> str:
    if present is None:
        return ""
    return write_cell(present) or NOTHING


def rows_of(table: DecisionTable) -> list[Row]:
    """The rules as the grid shows them."""
    return [
        Row(
            number,
            [write_cell(condition) for condition in rule.when],
            rule.then,
            _write_present(rule.present),
        )
        for number, rule in enumerate(table.rules, 1)
    ]


# -- from the grid ------------------------------------------------------------------


def table_of(fields: Fields) -> DecisionTable:
    """The table as the cells of the grid say it."""
    sources = tuple(_clean(path).strip() for path in fields.getlist("source"))
    width = len(sources)
    when, then = fields.getlist("when"), fields.getlist("then")
    present = fields.getlist("present")
    rules = []
    for number, result in enumerate(then[:MOST_RULES]):
        cells = when[number * width : (number + 1) * width]
        cells += [""] * (width - len(cells))
        over = present[number] if number < len(present) else ""
        rules.append(
            DecisionRule(
                tuple(read_cell(cell) for cell in cells),
                _clean(result),
                _read_present(_clean(over)),
            )
        )
    return DecisionTable(sources, tuple(rules))


def step(fields: Fields) -> Grid:
    """The table after what was asked for in `do`, at the rule or column `at`."""
    table = table_of(fields)
    at = fields.get("at", "") or ""
    place = int(at) if at.isdecimal() and len(at) < 6 else 0
    do = fields.get("do", "") or ""
    column = fields.get("column", "") or ""
    if do == "paste":
        start = int(column) if column.isdecimal() and len(column) < 4 else 0
        return _pasted(table, place, start, fields.get("paste", "") or "")
    kind, _, what = do.partition("_")
    if kind == "rule":
        return _rule_step(table, what, place)
    if kind == "source":
        return _source_step(table, what, place)
    return Grid(table)


def _rule_step(table: DecisionTable, what: str, at: int) -> Grid:
    rules = list(table.rules)
    blank = DecisionRule((ALWAYS,) * len(table.sources), "")
    focus = at
    if what == "add" and len(rules) < MOST_RULES:
        focus = min(at, len(rules))
        rules.insert(focus, blank)
    elif what == "remove" and at < len(rules):
        del rules[at]
        focus = min(at, len(rules) - 1)
    elif what in ("up", "down"):
        focus = at + (-1 if what == "up" else 1)
        if not (0 <= focus < len(rules) and at < len(rules)):
            return Grid(table, f"{at}-0")
        rules.insert(focus, rules.pop(at))
    found = replace(table, rules=tuple(rules))
    return Grid(found, f"{focus}-0" if rules else "source-0")


def _source_step(table: DecisionTable, what: str, at: int) -> Grid:
    order = list(range(len(table.sources)))
    focus = at
    if what == "add" and len(order) < MOST_SOURCES:
        rules = tuple(replace(r, when=(*r.when, ALWAYS)) for r in table.rules)
        return Grid(
            DecisionTable((*table.sources, ""), rules), f"source-{len(table.sources)}"
        )
    if what == "remove" and at < len(order) and len(order) > 1:
        del order[at]
        focus = min(at, len(order) - 1)
    elif what in ("left", "right"):
        focus = at + (-1 if what == "left" else 1)
        if 0 <= focus < len(order) and at < len(order):
            order.insert(focus, order.pop(at))
    found = DecisionTable(
        tuple(table.sources[place] for place in order),
        tuple(
            replace(rule, when=tuple(rule.when[place] for place in order))
            for rule in table.rules
        ),
    )
    return Grid(found, f"source-{focus}")


# -- pasting ------------------------------------------------------------------------


def _pasted(table: DecisionTable, at: int, column: int, text: str) -> Grid:
    """Cells of a spreadsheet over those of the grid, from a cell on. Rules are added
    as they are needed; a first row that names the columns is passed over."""
    lines = [
        cells
        for cells in csv.reader(io.StringIO(text.replace("\0", "")), delimiter="\t")
        if any(cell.strip() for cell in cells)
    ]
    names = [path.casefold() for path in table.sources[column:]]
    notes = []
    if lines and names and _named(lines[0], names):
        del lines[0]
    rows = [[*row.when, row.then, row.present] for row in rows_of(table)]
    width = len(table.sources) + 2
    blank = [""] * width
    left_out = max((len(cells) for cells in lines), default=0) - (width - column)
    if left_out > 0:
        notes.append(
            "What was pasted has more columns than the table: the last "
            f"{left_out} found no place and were left out."
        )
    if at + len(lines) > MOST_RULES:
        notes.append(f"{MOST_RULES} rules are possible; the rest was left out.")
        lines = lines[: max(MOST_RULES - at, 0)]
    rows += [list(blank) for _ in range(at + len(lines) - len(rows))]
    for number, cells in enumerate(lines):
        for place, cell in enumerate(cells[: max(width - column, 0)]):
            rows[at + number][column + place] = cell.strip()
    return Grid(_of_rows(table.sources, rows), f"{at}-{column}", tuple(notes))


def _named(cells: Sequence[str], names: Sequence[str]) -> bool:
    given = [cell.strip().casefold() for cell in cells]
    return given[: len(names)] == names[: len(given)]


def _of_rows(sources: tuple[str, ...], rows: Sequence[Sequence[str]]) -> DecisionTable:
    width = len(sources)
    return DecisionTable(
        sources,
        tuple(
            DecisionRule(
                tuple(read_cell(cell) for cell in row[:width]),
                _clean(row[width]),
                _read_present(row[width + 1]),
            )
            for row in rows
        ),
    )


# -- lines --------------------------------------------------------------------------


def with_table(line: ColumnMap, target: Side) -> ColumnMap:
    """The line with a decision table that writes `target`: its column of the source
    is what the rules ask first, and a value map becomes rules."""
    if line.decision is not None:
        return line
    source = line.on(target.other) or ""
    first = 0 if target is Side.DATAVERSE else 1
    rules = [
        DecisionRule(((pair[first],),), pair[1 - first]) for pair in line.values or ()
    ]
    return replace(
        line,
        **{target.other.value: None},
        type=_TO[target],
        values=None,
        value_map=None,
        sticky=False,
        expression=None,
        decision=DecisionTable(
            (source,), tuple(rules) or (DecisionRule((ALWAYS,), ""),)
        ),
    )


def without_table(line: ColumnMap) -> ColumnMap:
    """The line that copies the first column its rules asked."""
    if line.decision is None:
        return line
    side = Side.FINOPS if line.dataverse else Side.DATAVERSE
    path = next(iter(line.decision.sources), "") or None
    return replace(line, **{side.value: path}, decision=None)


def marks(findings: Sequence[HealthFinding]) -> Iterator[tuple[int, HealthFinding]]:
    """Which rule each finding is about, by what it says; those of the whole table are
    left out."""
    for finding in findings:
        words = finding.message.replace(":", " ").replace(",", " ").split()
        for word, number in pairwise(words):
            if word.casefold() == "rule" and number.isdecimal():
                yield int(number), finding
                break
