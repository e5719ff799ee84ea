"""Adding a pair to a column's value map, also while the map runs.

Everything else about a map is fixed until it is stopped. A value that had no meaning
was carried over by nobody, so giving it one changes nothing that was: the pair is added
as a new version, and the streams go on with it (docs/adr/0016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import transaction

from portal.activity import services as activity
from portal.maps import shared_values
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, MapVersion, SharedValueMap, TableMap
from portal.maps.preparation import read_schemas
from portal.maps.versions import create_version, next_number
from portal.refusals import ActionForbidden, NotFound, Refusal
from syncengine.mapping.compiler import CompilationError, compile_leg
from syncengine.mapping.model import ColumnMap, Direction, Side
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.value_pairs import MAX_PAIRS, Pairs

if TYPE_CHECKING:
    from portal.accounts.models import User

GROWING = (MapState.NOT_RUNNING, MapState.RUNNING, MapState.PAUSED)
"""The states in which a value map may get a pair more."""


@dataclass(frozen=True)
class Grown:
    """The new versions: of the map, or of all that share the value map."""

    pair: tuple[str, str]
    value_map: str
    versions: Sequence[MapVersion]


def value_line(definition: Definition, side: Side, column: str) -> ColumnMap | None:
    """The line with a value map that has this column on `side`."""
    for line in definition.columns:
        if line.values is not None and (line.on(side) or "") == column:
            return line
    return None


def why_not(maps: Sequence[TableMap]) -> list[str]:
    """Why these maps cannot get a pair now, a sentence for each that cannot."""
    return [
        f"{one.connection_set.name}/{one.name} is {one.get_state_display()}: wait "
        "until it is Running, Paused or Not running."
        for one in maps
        if one.state not in GROWING
    ]


def add_pair(
    table_map: TableMap,
    line: ColumnMap,
    pair: tuple[str, str],
    *,
    user: User | None = None,
) -> Grown:
    """Add a pair (FinOps, Dataverse) to the end of the line's value map.

    A shared value map grows for every map that uses it; each gets a new version.
    Refused when the pair is there already, when a column could not hold one of its
    values, and while one of the maps is being copied or resumed.
    Reads both systems, so it must not be called within a transaction.
    """
    pair = (pair[0].strip(), pair[1].strip())
    name = line.value_map or ""
    users = list(shared_values.users_of(name)) if name else [_whole(table_map)]
    _refuse_unfit(users, line, pair)
    with transaction.atomic():
        if name:
            _grow_shared(name, pair, user)
        versions = [_grown(one.pk, line, pair, user) for one in users]
    return Grown(pair, name, versions)


def _whole(table_map: TableMap) -> TableMap:
    return TableMap.objects.select_related(
        "version__table_map", "connection_set__finops", "connection_set__dataverse"
    ).get(pk=table_map.pk)


def _refuse_unfit(
    maps: Sequence[TableMap], line: ColumnMap, pair: tuple[str, str]
) -> None:
    if not all(pair):
        raise Refusal("Give both values; blank stands for no value.", code="no_value")
    if reasons := why_not(maps):
        raise ActionForbidden("The value map cannot grow now.", reasons=reasons)
    reasons = []
    for table_map in maps:
        if table_map.version is None:
            continue
        definition = to_engine(table_map.version)
        reasons += _known_already(definition, line, pair)
        reasons += _misfits(table_map, with_pair(definition, line, pair))
    if reasons:
        raise Refusal(
            "The pair was not added.",
            code="value_map_invalid",
            reasons=list(dict.fromkeys(reasons)),
        )


def with_pair(
    definition: Definition, line: ColumnMap, pair: tuple[str, str]
) -> Definition:
    """The definition with the pair at the end of this line's value map, and of all
    lines that share it."""
    return replace(
        definition,
        columns=tuple(
            replace(one, values=(*(one.values or ()), pair))
            if _same(one, line)
            else one
            for one in definition.columns
        ),
    )


def _same(one: ColumnMap, line: ColumnMap) -> bool:
    if line.value_map is not None:
        return one.value_map == line.value_map
    return one == line


def _known_already(
    definition: Definition, line: ColumnMap, pair: tuple[str, str]
) -> list[str]:
    """The pair itself. One of its values alone may be there: the first meaning of a
    value goes on to be used."""
    wanted = (pair[0].casefold(), pair[1].casefold())
    return [
        f"The value map has {given} = {meaning} already."
        for one in definition.columns
        if _same(one, line)
        for given, meaning in one.values or ()
        if (given.casefold(), meaning.casefold()) == wanted
    ]


def _misfits(table_map: TableMap, definition: Definition) -> list[str]:
    """What the columns would not take, in the compiler's words."""
    connection_set = table_map.connection_set
    schemas = read_schemas(connection_set, [definition])
    pairs = connection_set.legal_entity_pairs()
    reasons = []
    for direction in Direction:
        if not definition.flows(direction):
            continue
        try:
            compile_leg(
                definition,
                direction,
                schemas[direction.source],
                schemas[direction.target],
                pairs,
            )
        except CompilationError as error:
            reasons += [f"{table_map.name}: {one.message}" for one in error.findings]
    return reasons


def _grow_shared(name: str, pair: tuple[str, str], user: User | None) -> None:
    stored = SharedValueMap.objects.select_for_update().filter(name=name).first()
    if stored is None:
        raise NotFound(f"There is no value map {name} any more.")
    pairs: Pairs = shared_values.as_pairs(stored.pairs.all())
    if len(pairs) >= MAX_PAIRS:
        raise Refusal(
            f"{name} has {len(pairs)} pairs already, {MAX_PAIRS} are possible.",
            code="value_map_invalid",
        )
    stored.pairs.all().delete()
    shared_values.write_pairs(stored, (*pairs, pair))
    stored.save()
    activity.record(
        "value_map.changed",
        f"Value map {name} changed: {pair[0]} = {pair[1]} added.",
        user=user,
        details={"value_map": name, "changes": [f"{pair[0]} = {pair[1]} added"]},
    )


def _grown(
    map_id: int, line: ColumnMap, pair: tuple[str, str], user: User | None
) -> MapVersion:
    """The next version of a map, from what is its version now."""
    table_map = TableMap.objects.select_for_update(of=("self",), no_key=True)
    locked = table_map.select_related("version__table_map", "connection_set").get(
        pk=map_id
    )
    if locked.version is None:
        raise Refusal(f"{locked.name} has no version.", code="no_version")
    definition = to_engine(locked.version)
    return create_version(
        locked,
        replace(
            with_pair(definition, line, pair),
            version=next_number(locked, definition.publisher),
        ),
        user=user,
        states=GROWING,
    )
