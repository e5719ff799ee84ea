"""The maps of a run in the order in which their rows are copied, to be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict

from portal.checks.runs import RunCheck
from portal.maps.models import TableMap
from portal.pages import chosen_ids


@dataclass(frozen=True)
class PlannedMap:
    """One line of the dialog. `needs` are maps of the same plan that this one refers
    to; `late` those of them that come after it as things are."""

    table_map: TableMap
    added: bool
    included: bool
    copies: bool
    master: str
    needs: Sequence[str]
    late: Sequence[str]


def planned_maps(checks: Sequence[RunCheck], values: QueryDict) -> list[PlannedMap]:
    """Parents first, or as the dialog was left; what was ticked stays ticked."""
    starting = [one for check in checks for one in check.maps]
    former = chosen_ids(values.getlist("plan"))
    places = {map_id: place for place, map_id in enumerate(former)}
    if former:
        starting.sort(key=lambda one: places.get(one.table_map.pk, -1))
    included = set(chosen_ids(values.getlist("include")))
    copied = set(chosen_ids(values.getlist("copy")))
    order = [one.table_map.name for one in starting]
    rows = []
    for place, one in enumerate(starting):
        pk = one.table_map.pk
        known = pk in places
        needs = [name for name in one.needs if name in order]
        rows.append(
            PlannedMap(
                table_map=one.table_map,
                added=one.added,
                included=pk in included if known else True,
                copies=pk in copied if known else True,
                master=values.get(f"master_{pk}", ""),
                needs=needs,
                late=[name for name in needs if order.index(name) > place],
            )
        )
    return rows
