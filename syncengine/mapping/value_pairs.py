"""Pairs of a value map as text: what is pasted from a spreadsheet, and back (pure)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]

BLANK_CELL = "blank"
MAX_PAIRS = 5_000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class PastedPairs:
    """What a text says. `problems` keep it from being used; `notes` are what only
    matters in some maps. Both are sentences."""

    pairs: Pairs
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_pairs(text: str) -> PastedPairs:
    """A pair a line: two cells with a tab, a comma or a semicolon between, quoted
    where one holds such a character. An empty cell is `blank`; empty lines are
    passed over."""
    pairs: list[tuple[str, str]] = []
    problems: list[str] = []
    first_at: dict[tuple[str, str], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = _cells(line)
        if len(cells) != 2:
            problems.append(
                f"Line {number} has {len(cells)} value{'' if len(cells) == 1 else 's'},"
                " two are expected: finance and operations, Dataverse."
            )
            continue
        if "\0" in line:
            problems.append(f"Line {number} holds a character that no database keeps.")
            continue
        pair = (cells[0] or BLANK_CELL, cells[1] or BLANK_CELL)
        folded = (pair[0].casefold(), pair[1].casefold())
        if folded in first_at:
            problems.append(
                f"Line {number} says the same as line {first_at[folded]}: "
                f"{pair[0]} = {pair[1]}."
            )
            continue
        first_at[folded] = number
        pairs.append(pair)
    if not pairs and not problems:
        problems.append("Give a pair of values at least.")
    if len(pairs) > MAX_PAIRS:
        problems.append(f"{len(pairs)} pairs are too many; {MAX_PAIRS} are possible.")
    return PastedPairs(tuple(pairs), tuple(problems), tuple(ambiguities(pairs)))


def ambiguities(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What has several meanings, a sentence for each way: columns that flow that way
    take the first."""
    found = []
    for side, name, other in ((0, "Finance and operations", 1), (1, "Dataverse", 0)):
        meanings: dict[str, list[str]] = {}
        for pair in pairs:
            meanings.setdefault(pair[side].casefold(), []).append(pair[other])
        several = [
            f"{given} ({', '.join(values)})"
            for given, values in meanings.items()
            if len(values) > 1
        ]
        if several:
            more = len(several) - _SHOWN
            rest = f" and {more} more" if more > 0 else ""
            found.append(
                f"{name} values with several meanings, of which the first is used: "
                f"{', '.join(several[:_SHOWN])}{rest}."
            )
    return found


def write_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """The pairs as lines with a tab between; `read_pairs` gives them back, if they
    have no blanks at their ends and no line breaks."""
    return "".join(f"{_cell(left)}\t{_cell(right)}\n" for left, right in pairs)


def _cells(line: str) -> list[str]:
    separator = next((each for each in "\t,;" if each in line), ",")
    reader = csv.reader(io.StringIO(line), delimiter=separator, skipinitialspace=True)
    return [cell.strip() for row in reader for cell in row]


def _cell(text: str) -> str:
    if text == text.strip() and not any(each in text for each in '\t"\r\n'):
        return text
    quoted = text.replace('"', '""')
    return f'"{quoted}"'
