"""The value maps that many ready-made maps have in common, under a name each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from syncengine.catalog.entries import read_facts
from syncengine.mapping.model import ValueMap


@dataclass(frozen=True, slots=True)
class ReadyValueMap:
    """A value map to take over, and what it is about."""

    value_map: ValueMap
    about: str


@cache
def value_maps() -> tuple[ReadyValueMap, ...]:
    """All of them. The ready-made maps keep their own pairs, as published."""
    return tuple(
        ReadyValueMap(
            ValueMap(
                fact["name"], tuple((left, right) for left, right in fact["values"])
            ),
            fact["about"],
        )
        for fact in read_facts("value_maps.json")
    )
