"""The list of shared value maps as a page asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.maps import shared_values
from portal.maps.models import SharedValueMap, TableMap
from syncengine import catalog


@dataclass(frozen=True)
class ValueMapRow:
    """One shared value map, with how many pairs it has and the maps that use it."""

    value_map: SharedValueMap
    pairs: int
    sample: str
    maps: Sequence[TableMap]

    @property
    def changed_at(self) -> datetime:
        """When it was changed last."""
        return self.value_map.changed_at


SORTS: Mapping[str, tuple[str, Callable[[ValueMapRow], Any]]] = {
    "name": ("Value map", lambda row: row.value_map.name.casefold()),
    "pairs": ("Pairs", lambda row: row.pairs),
    "maps": ("Used by", lambda row: len(row.maps)),
    "changed": ("Changed", lambda row: row.changed_at),
}
USED = {"yes": "In use", "no": "Not in use"}
_SAMPLE = 3


@dataclass(frozen=True)
class Heading:
    """A column's heading: how it is sorted now, and what its link sorts by."""

    word: str
    order: str
    link: str
    number: bool


@dataclass(frozen=True)
class ValueMapFilter:
    """What the list is narrowed to and how it is sorted."""

    text: str = ""
    used: str = ""
    sort: str = "name"
    descending: bool = False

    @staticmethod
    def read(values: Mapping[str, str]) -> ValueMapFilter:
        """From a query string; an order that is unknown is the usual one."""
        sort = values.get("sort", "")
        used = values.get("used", "")
        return ValueMapFilter(
            text=values.get("q", "").strip(),
            used=used if used in USED else "",
            sort=sort.lstrip("-") if sort.lstrip("-") in SORTS else "name",
            descending=sort.startswith("-"),
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(self.text or self.used)

    @property
    def headings(self) -> list[Heading]:
        """The columns of the table."""
        return [
            Heading(
                word=word,
                order=("descending" if self.descending else "ascending")
                if name == self.sort
                else "",
                link=f"-{name}" if name == self.sort and not self.descending else name,
                number=name == "pairs",
            )
            for name, (word, _) in SORTS.items()
        ]


def rows(filters: ValueMapFilter, user: Any = None) -> list[ValueMapRow]:
    """The value maps that match: by name or by a value."""
    users = shared_values.users_by_name(user)
    wanted = filters.text.casefold()
    found = []
    for one in SharedValueMap.objects.prefetch_related("pairs"):
        pairs = shared_values.as_pairs(one.pairs.all())
        texts = [one.name, *(text for pair in pairs for text in pair)]
        maps = users.get(one.name, [])
        if wanted and not any(wanted in text.casefold() for text in texts):
            continue
        if filters.used and (filters.used == "yes") is not bool(maps):
            continue
        sample = ", ".join(f"{left} = {right}" for left, right in pairs[:_SAMPLE])
        found.append(ValueMapRow(one, len(pairs), sample, maps))
    _, key = SORTS[filters.sort]
    found.sort(key=key, reverse=filters.descending)
    return found


def not_taken_over() -> list[catalog.ReadyValueMap]:
    """Ready-made value maps whose names are free."""
    taken = {
        name.casefold()
        for name in SharedValueMap.objects.values_list("name", flat=True)
    }
    return [
        one
        for one in catalog.value_maps()
        if one.value_map.name.casefold() not in taken
    ]
