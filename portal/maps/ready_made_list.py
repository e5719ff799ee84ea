"""The list of ready-made maps as a page asks for it: filtered, sorted, grouped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.maps.models import TableMap
from portal.maps.ready_made import address_name, installed
from syncengine import catalog
from syncengine.mapping.model import Direction

DIRECTIONS = {
    "both": "Both ways",
    Direction.FINOPS_TO_DATAVERSE.value: "FinOps to Dataverse",
    Direction.DATAVERSE_TO_FINOPS.value: "Dataverse to FinOps",
}
INSTALLED = {"yes": "Installed", "no": "Not installed"}
GROUPS = {"package": "Package", "concept": "Concept", "none": "Nothing"}

_Key = Callable[[catalog.CatalogEntry], Any]
SORTS: Mapping[str, tuple[str, _Key]] = {
    "name": ("Map", lambda entry: entry.name.casefold()),
    "package": ("Package", lambda entry: entry.package),
    "concept": ("Concept", lambda entry: entry.concept),
    "columns": ("Columns", lambda entry: len(entry.columns)),
    "direction": ("Direction", lambda entry: list(DIRECTIONS).index(entry.direction)),
}


@dataclass(frozen=True)
class CatalogFilter:
    """What the list is narrowed to and how it is laid out."""

    text: str = ""
    package: str = ""
    concept: str = ""
    direction: str = ""
    installed: str = ""
    sort: str = "name"
    descending: bool = False
    group: str = "package"

    @staticmethod
    def read(values: Mapping[str, str]) -> CatalogFilter:
        """From a query string; a layout that is unknown is the usual one."""
        sort = values.get("sort", "")
        group = values.get("group", "")
        return CatalogFilter(
            text=values.get("q", "").strip(),
            package=values.get("package", "").strip(),
            concept=values.get("concept", "").strip(),
            direction=values.get("direction", "").strip(),
            installed=values.get("installed", "").strip(),
            sort=sort.lstrip("-") if sort.lstrip("-") in SORTS else "name",
            descending=sort.startswith("-"),
            group=group if group in GROUPS else "package",
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(
            self.text
            or self.package
            or self.concept
            or self.direction
            or self.installed
        )

    @property
    def headings(self) -> list[Heading]:
        """The columns of the table; what the list is grouped by needs none."""
        return [
            Heading(
                word=word,
                order=self._order(name),
                link=f"-{name}" if name == self.sort and not self.descending else name,
                number=name == "columns",
            )
            for name, (word, _) in SORTS.items()
            if name != self.group
        ]

    def _order(self, name: str) -> str:
        if name != self.sort:
            return ""
        return "descending" if self.descending else "ascending"


@dataclass(frozen=True)
class Heading:
    """A column's heading: how it is sorted now, and what its link sorts by."""

    word: str
    order: str
    link: str
    number: bool


@dataclass(frozen=True)
class CatalogRow:
    """One ready-made map: under which address, where its text was found, and which
    stored maps it is already."""

    entry: catalog.CatalogEntry
    address: str
    columns: Sequence[str]
    maps: Sequence[TableMap]
    direction: str


@dataclass(frozen=True)
class CatalogGroup:
    """The maps of one package or concept. `whole` is how many it has without the
    filter; only a package can be installed as one."""

    name: str
    rows: Sequence[CatalogRow]
    whole: int


def groups(filters: CatalogFilter, user: Any = None) -> list[CatalogGroup]:
    """The maps that match, in their groups."""
    there = installed(user)
    _, key = SORTS[filters.sort]
    matches = [
        match
        for match in catalog.search(
            filters.text,
            package=filters.package,
            concept=filters.concept,
            direction=filters.direction,
        )
        if not filters.installed
        or (filters.installed == "yes") is (match.entry.name in there)
    ]
    matches.sort(key=lambda match: key(match.entry), reverse=filters.descending)
    found: dict[str, list[CatalogRow]] = {}
    for match in matches:
        entry = match.entry
        found.setdefault(_group(entry, filters.group), []).append(
            CatalogRow(
                entry,
                address_name(entry),
                match.columns,
                there.get(entry.name, ()),
                DIRECTIONS[entry.direction],
            )
        )
    whole: dict[str, int] = {}
    for entry in catalog.entries():
        name = _group(entry, filters.group)
        whole[name] = whole.get(name, 0) + 1
    return [
        CatalogGroup(name, rows, whole[name]) for name, rows in sorted(found.items())
    ]


def _group(entry: catalog.CatalogEntry, group: str) -> str:
    return {"package": entry.package, "concept": entry.concept}.get(group, "")
