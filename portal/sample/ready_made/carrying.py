"""Values as the lines of a map carry them: constants, value maps, empty dates."""

from __future__ import annotations

import re
from collections.abc import Callable
from zlib import crc32

from portal.sample.ready_made import values
from portal.sample.ready_made.keys import usable_pairs
from portal.sample.ready_made.kinds import Kind, kinds
from portal.sample.ready_made.links import spread
from portal.sample.ready_made.populations import Place
from portal.sample.ready_made.tables import ENUMERATIONS
from portal.sample.ready_made.values import Maker
from syncengine.catalog import CatalogEntry
from syncengine.mapping.model import ColumnMap, Side

Row = dict[str, Maker]
"""What fills each column of a row."""

_SENTINEL = re.compile(r"(\d+)/(\d+)/(\d{4})")


class Exact:
    """A maker whose values do not repeat; those of all others do, after PERIOD."""

    __slots__ = ("_make",)

    def __init__(self, make: Maker) -> None:
        self._make = make

    def __call__(self, place: Place) -> str | None:
        return self._make(place)


def constant(value: str | None) -> Maker:
    """The same value for every record."""
    return lambda place: value


def carried(entry: CatalogEntry, line: ColumnMap, mine: Row) -> Maker:
    """The value of a plain Dataverse column, as the line carries it."""
    if line.finops is None:
        return constant(line.default)
    source = mine[line.finops]
    if not line.values and line.default is None:
        return source
    table = {
        left: None if right.lower() == "blank" else right
        for left, right in pairs_of(entry, line)
    }

    def make(place: Place) -> str | None:
        value = source(place)
        return line.default if value is None else table.get(value, value)

    return Exact(make) if isinstance(source, Exact) else make


def pairs_of(entry: CatalogEntry, line: ColumnMap) -> list[tuple[str, str]]:
    """The pairs of the line's value map, with words as the ERP's column spells them."""
    node = Side.FINOPS, entry.finops_table, (line.finops or "").lower()
    spelled = {label.lower(): label for label in ENUMERATIONS.get(node, ())}
    return [
        (spelled.get(left, _canonical_date(left)), right)
        for left, right in usable_pairs(line.values or ())
    ]


def pair_chooser(
    entry: CatalogEntry, line: ColumnMap
) -> Callable[[Place], tuple[str, str]]:
    """Chooses a pair of the line's value map for each record."""
    pairs = pairs_of(entry, line)
    salt = crc32(f"{entry.name} {line.finops}".encode())
    if kinds()[Side.FINOPS, entry.finops_table, (line.finops or "").lower()] is not (
        Kind.DATE
    ):
        choose = values.chooser(salt, len(pairs))
        return lambda place: pairs[choose(place)]
    date = values.maker(entry.name, line.finops or "", Kind.DATE, required=True)
    empty = pairs[0][0]

    def choose_date(place: Place) -> tuple[str, str]:
        value = empty if spread(salt, place) % 3 == 0 else str(date(place))
        return value, value

    return choose_date


def _canonical_date(text: str) -> str:
    """A date of a value map as the database spells it; other words as they are."""
    found = _SENTINEL.fullmatch(text)
    if found is None:
        return text
    month, day, year = (int(part) for part in found.groups())
    return f"{year:04d}-{month:02d}-{day:02d}"
