"""Mending a value map from the error that misses a value in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import Exact
from django.utils.http import urlencode

from portal.errors import services
from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, SyncError
from portal.maps import growing, shared_values
from portal.maps.conversion import to_engine
from portal.maps.models import TableMap
from portal.refusals import Refusal
from syncengine.mapping.model import ColumnMap, Direction, Side
from syncengine.mapping.model import TableMap as Definition

if TYPE_CHECKING:
    from portal.accounts.models import User

CODE = "value_not_in_map"
SHOWN = 200
"""So many values of the other side are offered."""


@dataclass(frozen=True)
class Missed:
    """A value that a line's value map lacks on the side it comes from."""

    line: ColumnMap
    side: Side
    column: str
    value: str


@dataclass(frozen=True)
class MissingValue(Missed):
    """A value without a meaning. `known` are the pairs the value map has, `offered`
    the values of the other side in it; `maps` get a new version; `hindrances` say why
    nothing can be added now."""

    other: Side
    other_column: str
    value_map: str
    known: Sequence[tuple[str, str]]
    offered: Sequence[str]
    maps: Sequence[TableMap]
    hindrances: Sequence[str]

    def pair(self, meaning: str) -> tuple[str, str]:
        """The pair to add, FinOps first."""
        return (
            (self.value, meaning) if self.side is Side.FINOPS else (meaning, self.value)
        )


@dataclass(frozen=True)
class Mended:
    """What mending did."""

    grown: growing.Grown
    retried: int


def missing_value(error: SyncError) -> MissingValue | None:
    """The value this error misses in a value map; None for other errors, and where
    the map has it meanwhile, or no longer has the column."""
    table_map = error.table_map
    if error.code != CODE or table_map.version is None:
        return None
    missed = _missed(error, to_engine(table_map.version))
    if missed is None:
        return None
    line, direction = missed.line, Direction(error.direction)
    index, pairs = _index(direction.source), line.values or ()
    maps = (
        list(shared_values.users_of(line.value_map)) if line.value_map else [table_map]
    )
    return MissingValue(
        line=line,
        side=missed.side,
        column=missed.column,
        value=missed.value,
        other=direction.target,
        other_column=error.column,
        value_map=line.value_map or "",
        known=pairs[:SHOWN],
        offered=tuple(dict.fromkeys(pair[1 - index] for pair in pairs))[:SHOWN],
        maps=maps,
        hindrances=growing.why_not(maps),
    )


def missed_values(
    table_map: TableMap, errors: Sequence[SyncError]
) -> dict[int, Missed]:
    """The values that these errors of one map still miss in a value map, by error."""
    if table_map.version is None or not any(one.code == CODE for one in errors):
        return {}
    definition = to_engine(table_map.version)
    found = {one.pk: _missed(one, definition) for one in errors if one.code == CODE}
    return {pk: missed for pk, missed in found.items() if missed is not None}


def _missed(error: SyncError, definition: Definition) -> Missed | None:
    direction = Direction(error.direction)
    line = growing.value_line(definition, direction.target, error.column)
    column = line.on(direction.source) if line is not None else None
    if line is None or column is None:
        return None
    value = error.source_row.get(column)
    index = _index(direction.source)
    known = {pair[index].casefold() for pair in line.values or ()}
    if value is None or value.casefold() in known:
        return None
    return Missed(line, direction.source, column, value)


def _index(side: Side) -> int:
    """Where the value of a side stands in a pair."""
    return 0 if side is Side.FINOPS else 1


def editor_query(error: SyncError, missing: Missed | None) -> str:
    """Has the editor show the line of the failing column and open its rule, with the
    value that it does not know begun as a pair."""
    if not error.column:
        return ""
    column = error.column.partition(".")[0]
    asked = {"search": column, "open": column}
    if missing is not None:
        asked |= {"value": missing.value, "side": missing.side.value}
    return f"?{urlencode(asked)}"


def mend(error: SyncError, meaning: str, *, user: User | None = None) -> Mended:
    """Give the value a meaning in a new version of the map, and retry every open error
    that missed the same value in the same value map."""
    error = SyncError.objects.select_related(
        "table_map__version__table_map", "table_map__connection_set"
    ).get(pk=error.pk)
    missing = missing_value(error)
    if missing is None:
        raise Refusal(
            "The value map has this value by now, or the error is about something "
            "else: retry it.",
            code="nothing_to_mend",
        )
    grown = growing.add_pair(
        error.table_map, missing.line, missing.pair(meaning), user=user
    )
    return Mended(grown, services.retry(_same_miss(missing), user=user))


def _same_miss(missing: MissingValue) -> QuerySet[SyncError]:
    """Open errors of the maps that just grew which missed the same value."""
    wanted = Q(pk__in=[])
    for table_map in missing.maps:
        if table_map.version is None:
            continue
        for line in to_engine(table_map.version).columns:
            source, target = line.on(missing.side), line.on(missing.other)
            shared = missing.value_map and line.value_map == missing.value_map
            if not (source and target and (shared or line == missing.line)):
                continue
            causes = ErrorGroup.objects.filter(
                table_map=table_map,
                direction=Direction.from_source(missing.side).value,
                code=CODE,
                column=target,
                waiting_count__gt=0,
            )
            missed = Exact(KeyTextTransform(source, "source_row"), Value(missing.value))
            ids = list(causes.values_list("pk", flat=True))
            wanted |= Q(cause__in=ids) & Q(missed)
    return SyncError.objects.filter(wanted, state__in=OPEN_ERROR_STATES)
