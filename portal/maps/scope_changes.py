"""Filters that would leave out many rows which the map carried before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portal.environments.connectors import connector_for
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, MapVersion, TableMap
from portal.refusals import ActionForbidden
from syncengine.connectors.base import ReadRequest
from syncengine.mapping.filters import (
    Expression,
    FilterError,
    bind_types,
    parse_filter,
)
from syncengine.mapping.filters.expression import And
from syncengine.mapping.model import Side
from syncengine.mapping.schema import TableSchema

CODE = "filter_leaves_out_rows"


def refuse_shrunk(maps: Sequence[TableMap]) -> None:
    """Ask first where a filter was changed since a map last ran, and a larger share of
    its rows than its guard allows would no longer be carried over. Raises
    ActionForbidden with code `filter_leaves_out_rows`; what cannot be counted (a column
    is gone) asks nothing."""
    reasons = [
        reason
        for one in maps
        if one.state == MapState.NOT_RUNNING and one.guard_enabled
        for reason in _shrunk(one)
    ]
    if reasons:
        raise ActionForbidden(
            "A new filter leaves out many rows that were carried over before. They stay"
            " as they are on the other side and are no longer kept in step. Approve it "
            "to run all the same.",
            code=CODE,
            reasons=reasons,
        )


def _shrunk(table_map: TableMap) -> list[str]:
    before, now = table_map.ran_version, table_map.version
    if before is None or now is None or before.pk == now.pk:
        return []
    found = []
    for side in Side:
        old, new = _filter(before, side), _filter(now, side)
        if not new.strip() or old.strip() == new.strip():
            continue
        counts = _counts(table_map, side, old, new)
        if counts is None:
            continue
        rows, left = counts
        out = rows - left
        share = table_map.guard_deletes_percent
        if share and out >= table_map.guard_rows and 100 * out > share * rows:
            found.append(
                f"{table_map.name}: {out:,} of {rows:,} rows of "
                f"{table_map.connection_set.environment(side).name} no longer match."
            )
    return found


def _filter(version: MapVersion, side: Side) -> str:
    is_finops = side is Side.FINOPS
    return version.finops_filter if is_finops else version.dataverse_filter


def _counts(
    table_map: TableMap, side: Side, old: str, new: str
) -> tuple[int, int] | None:
    """Rows that matched the old filter, and those of them that match the new one."""
    if table_map.version is None:
        return None
    name = to_engine(table_map.version).table(side)
    connector = connector_for(table_map.connection_set.environment(side))
    table = connector.tables([name]).table(name)
    if table is None:
        return None
    try:
        before, after = _bound(side, old, table), _bound(side, new, table)
    except FilterError:
        return None
    if after is None:
        return None
    request = ReadRequest(table=table.name, columns=(), predicate=before)
    both = after if before is None else And((before, after))
    with connector.reader() as reader:
        return reader.count(request), reader.count(replace(request, predicate=both))


def _bound(side: Side, text: str, table: TableSchema) -> Expression | None:
    expression = parse_filter(side, text)
    return None if expression is None else bind_types(expression, table, text)
