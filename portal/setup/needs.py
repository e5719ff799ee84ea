"""Which ready-made maps need which others: as a tree, in stages, and by package."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from syncengine import catalog


@dataclass(frozen=True)
class Need:
    """A map with those it refers to. `again` when the tree has it already further up;
    what it needs is left out there."""

    name: str
    package: str
    needs: Sequence[Need] = ()
    again: bool = False


def tree(name: str) -> Need:
    """A map with all that it needs, each spelled out once. Raises CatalogError."""
    seen: set[str] = set()

    def grow(entry: catalog.CatalogEntry) -> Need:
        if entry.name in seen:
            return Need(entry.name, entry.package, again=bool(entry.related))
        seen.add(entry.name)
        below = [grow(catalog.find(one)) for one in entry.related]
        return Need(entry.name, entry.package, below)

    return grow(catalog.find(name))


@dataclass(frozen=True)
class Staged:
    """A chosen map in its stage, with the chosen ones it comes after."""

    name: str
    after: Sequence[str]


def stages(names: Collection[str]) -> list[list[Staged]]:
    """The maps in stages: what one needs of them is in a stage before its own. Maps
    that need each other share a stage."""
    left = {
        name: [one for one in catalog.find(name).related if one in names]
        for name in names
    }
    found = []
    while left:
        free = [name for name, needs in left.items() if not set(needs) & set(left)]
        found.append([Staged(name, left[name]) for name in free or list(left)])
        left = {
            name: needs for name, needs in left.items() if free and name not in free
        }
    return found


def packages_needed(package: str) -> list[str]:
    """The other packages that maps of this one refer to directly."""
    packages = {entry.name: entry.package for entry in catalog.entries()}
    needed = {
        packages[name]
        for entry in catalog.entries()
        if entry.package == package
        for name in entry.related
    }
    return sorted(needed - {package})
