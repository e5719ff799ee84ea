"""Which maps have a record of a key now, where nothing is known of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from portal.accounts.scope import Scope, scope_of, sees_key
from portal.history.keys import SEPARATOR, normal
from portal.maps.models import TableMap
from portal.refusals import Refusal
from portal.runs.legs import MapLegs, load_legs, with_legs
from syncengine.errors import EngineError, OutageError
from syncengine.initial import has_rows, read_request
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.model import Side
from syncengine.preview import split_key

MOST = 20
"""So many maps are asked."""

SECONDS = 6.0
"""So long all of them may take; a map that was begun is asked to its end."""

OTHER_PARTS = "the key has another number of parts"
TOO_MANY = f"{MOST} maps were asked already"
TOO_LONG = f"the others took {SECONDS:g} seconds already"
BEYOND = "your user sees the records of some companies only"


@dataclass(frozen=True)
class Hit:
    """A map that has such a record, and the sides it is on."""

    table_map: TableMap
    sides: Sequence[Side]


@dataclass(frozen=True)
class Asked:
    """What both systems answered: `asked` maps, those that have the record, and the
    maps that were not asked by the reason."""

    text: str
    asked: int
    hits: Sequence[Hit]
    unasked: Mapping[str, Sequence[TableMap]]


def ask(text: str, *, user: Any = None, seconds: float = SECONDS) -> Asked:
    """Look the key up by the integration key of every map it may be one of, within the
    limits of the user and of the module."""
    wanted, scope = normal(text), scope_of(user)
    until = time.monotonic() + seconds
    unasked: dict[str, list[TableMap]] = defaultdict(list)
    down: dict[int, str] = {}
    hits, asked = [], 0
    for one in _maps(scope):
        reason = down.get(one.connection_set_id) or _spared(one, wanted, scope)
        if not reason and asked == MOST:
            reason = TOO_MANY
        if not reason and time.monotonic() >= until:
            reason = TOO_LONG
        if not reason:
            try:
                sides = _sides(one, wanted, scope, until)
            except EngineError as trouble:
                reason = trouble.message
                if isinstance(trouble, OutageError):
                    down[one.connection_set_id] = reason
            except Refusal as refused:
                reason = refused.message
            else:
                asked += sides is not None
                hits += [Hit(one, sides)] if sides else []
                reason = OTHER_PARTS if sides is None else ""
        if reason:
            unasked[reason].append(one)
    return Asked(wanted, asked, hits, dict(unasked))


def document(found: Asked) -> dict[str, Any]:
    """As `dw record --json` gives it."""
    return {
        "maps": found.asked,
        "found": [
            {"map": one.table_map.name, "sides": [side.value for side in one.sides]}
            for one in found.hits
        ],
        "not_asked": [
            {"map": one.name, "reason": reason}
            for reason, maps in found.unasked.items()
            for one in maps
        ],
    }


def _maps(scope: Scope) -> list[TableMap]:
    rows = TableMap.objects.within(scope).filter(connection_set__retired_at=None)
    counted = rows.annotate(key_parts=Count("version__key_pairs"))
    ordered = counted.order_by("connection_set__name", "name")
    return list(ordered.select_related("connection_set"))


def _spared(one: Any, wanted: str, scope: Scope) -> str:
    """Why the map need not, or must not, be asked; empty when it is to be."""
    parts = len(wanted.split(SEPARATOR))
    # A company, which is no pair of the key, may come first.
    if parts not in (one.key_parts, one.key_parts + 1):
        return OTHER_PARTS
    return "" if sees_key(scope, wanted, one.connection_set_id) else BEYOND


def _sides(one: TableMap, wanted: str, scope: Scope, until: float) -> list[Side] | None:
    """The sides that have the record; None where no key of the map is so long."""
    legs = load_legs(with_legs(one.pk))
    if not any(split_key(wanted, leg) for leg in legs.legs.values()):
        return None
    return [
        way.source
        for way, leg in legs.legs.items()
        if _there(legs, leg, _keys(one, leg, wanted, scope), until)
    ]


def _keys(one: TableMap, leg: CompiledLeg, wanted: str, scope: Scope) -> list[Row]:
    """The keys the text may mean, of companies within the limits."""
    keys = split_key(wanted, leg)
    if leg.company is None:
        return keys
    seen = scope.sees_company
    return [key for key in keys if seen(one.connection_set_id, key[0] or "")]


def _there(legs: MapLegs, leg: CompiledLeg, keys: Sequence[Row], until: float) -> bool:
    if not keys or not has_rows(leg):
        return False
    with legs.connectors[leg.direction.source].reader() as reader:
        reader.limit(max(0.5, until - time.monotonic()))
        return bool(reader.fetch(read_request(leg), keys))
