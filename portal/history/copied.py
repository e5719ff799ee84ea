"""What the last initial sync says of a record's fields where no later change of them is
kept: it left both sides equal, and knows its version and time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from portal.labels import SIDES
from portal.maps.models import TableMap
from portal.runs.models import LegRun, RunState
from syncengine.mapping.model import ColumnMap, Direction, Side

LEGS_LOOKED_AT = 200


@dataclass(frozen=True)
class Copy:
    """The newest initial sync that went over the record's company, by its directions.
    `first` is the one that went before the other."""

    run: int
    version: str
    at: datetime
    legs: Mapping[Direction, LegRun]
    first: Direction


def last_copy(table_map: TableMap, companies: Collection[str]) -> Copy | None:
    """The newest that is completed, of all companies or of one of these."""
    wanted = {company.casefold() for company in companies}
    rows = (
        LegRun.objects.filter(
            run__table_map=table_map,
            run__state=RunState.COMPLETED,
            finished_at__isnull=False,
        )
        .select_related("run")
        .order_by("-run", "-id")[:LEGS_LOOKED_AT]
    )
    legs = [
        leg
        for leg in rows
        if not leg.legal_entity or leg.legal_entity.casefold() in wanted
    ]
    if not legs:
        return None
    run = legs[0].run
    same = [leg for leg in legs if leg.run_id == run.pk]
    first = min(same, key=lambda leg: leg.order)
    return Copy(
        run.pk,
        run.version,
        max(leg.finished_at for leg in same if leg.finished_at is not None),
        {Direction(leg.direction): leg for leg in same},
        Direction(first.direction),
    )


def ways_of(copy: Copy, line: ColumnMap) -> list[Direction]:
    """The directions in which the initial sync carried this line."""
    return [way for way in copy.legs if line.type.flows(way) and line.on(way.target)]


def sentence(copy: Copy, line: ColumnMap, ways: list[Direction], side: Side) -> str:
    """Where the value on `side` is from, as far as an initial sync can tell."""
    name = f"initial sync {copy.run}"
    if len(ways) > 1:
        return (
            f"equal on both sides since {name}: copied from the side that had the "
            f"record, from {SIDES[copy.first.source.value]} where both had it"
        )
    (way,) = ways
    source = SIDES[way.source.value]
    if side is way.source:
        return f"made on {source} before {name}"
    leg = copy.legs[way]
    made = f"copied from {source}" if line.on(way.source) else "set by the map"
    maybe = ", or equal already" if leg.unchanged or leg.skipped else ""
    return f"{made} by {name}{maybe}"
