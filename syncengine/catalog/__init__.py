"""The ready-made maps that ship with the product (pure: reads its own data only).

`maps.json` and `keys.json` are the published facts, word for word; what is plainly
wrong in them is put right by `corrections.json`, entry by entry, with the reason. See
`NOTICE` for where the facts come from. `value_maps.json` has the value lists that many
of them have in common, to be taken over as shared value maps.
"""

from __future__ import annotations

from syncengine.catalog.entries import (
    PUBLISHER,
    VERSION,
    CatalogEntry,
    CatalogError,
    Correction,
    entries,
    find,
    find_entity,
    packages,
    select,
    table_map,
    with_prerequisites,
)
from syncengine.catalog.searching import Match, concepts, needed_by, search
from syncengine.catalog.shared_values import ReadyValueMap, value_maps

__all__ = [
    "PUBLISHER",
    "VERSION",
    "CatalogEntry",
    "CatalogError",
    "Correction",
    "Match",
    "ReadyValueMap",
    "concepts",
    "entries",
    "find",
    "find_entity",
    "needed_by",
    "packages",
    "search",
    "select",
    "table_map",
    "value_maps",
    "with_prerequisites",
]
