"""Searching the ready-made maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncengine.catalog.entries import CatalogEntry, entries

BOTH_WAYS = "both"


@dataclass(frozen=True, slots=True)
class Match:
    """A map that was found. `columns` are the columns in whose names the text was
    found, where neither the map's name nor a table's says it."""

    entry: CatalogEntry
    columns: tuple[str, ...] = ()


def search(
    text: str = "", *, package: str = "", concept: str = "", direction: str = ""
) -> list[Match]:
    """The maps that fit all that is given, by name. `text` is a part, in any case, of
    the map's name, of either table's, or of a column's; `direction` is `both` or the
    one direction."""
    wanted = text.strip().casefold()
    found = []
    for entry in entries():
        if (
            not _same(package, entry.package)
            or not _same(concept, entry.concept)
            or (direction and direction != entry.direction)
        ):
            continue
        if any(wanted in name.casefold() for name in _names(entry)):
            found.append(Match(entry))
        elif columns := _columns(entry, wanted):
            found.append(Match(entry, columns))
    return found


def concepts() -> tuple[str, ...]:
    """The names of all business concepts."""
    return tuple(sorted({entry.concept for entry in entries()}))


def needed_by(entry: CatalogEntry) -> list[CatalogEntry]:
    """The maps that refer to this one themselves."""
    return [other for other in entries() if entry.name in other.related]


def _same(wanted: str, name: str) -> bool:
    return not wanted or wanted.casefold() == name.casefold()


def _names(entry: CatalogEntry) -> Sequence[str]:
    return (
        entry.name,
        entry.finops_entity,
        entry.finops_public_name,
        entry.dataverse_table,
    )


def _columns(entry: CatalogEntry, wanted: str) -> tuple[str, ...]:
    paths = [path for line in entry.columns for path in (line.finops, line.dataverse)]
    found = [path for path in paths if path and wanted in path.casefold()]
    return tuple(dict.fromkeys(found))
