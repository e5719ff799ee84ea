"""Reading held changes: filters that are links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.http import urlencode

from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.approvals.models import Approval, ApprovalState, WaveKind
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap


@dataclass(frozen=True)
class ApprovalFilter:
    """What the list is narrowed to; empty where all are shown."""

    connection_set: int | None = None
    map_id: int | None = None
    state: str = ""
    kind: str = ""
    scope: Scope = EVERYTHING

    @staticmethod
    def read(values: Mapping[str, str], user: Any = None) -> ApprovalFilter:
        """From a query string; what is unknown is ignored."""
        state, kind = values.get("state", ""), values.get("kind", "")
        return ApprovalFilter(
            connection_set=_whole(values.get("set", "")),
            map_id=_whole(values.get("map", "")),
            state=state if state in ApprovalState.values else "",
            kind=kind if kind in WaveKind.values else "",
            scope=scope_of(user),
        )

    @property
    def narrowed(self) -> bool:
        """True when it is not simply all."""
        return bool(self.query)

    @property
    def query(self) -> str:
        """As a query string, for links."""
        values = {
            "set": self.connection_set or "",
            "map": self.map_id or "",
            "state": self.state,
            "kind": self.kind,
        }
        return urlencode({name: value for name, value in values.items() if value})


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def approval_list(filters: ApprovalFilter) -> QuerySet[Approval]:
    """The held waves a filter selects."""
    rows = Approval.objects.within(filters.scope).select_related(
        "table_map", "decided_by"
    )
    if filters.connection_set is not None:
        rows = rows.filter(table_map__connection_set=filters.connection_set)
    if filters.map_id is not None:
        rows = rows.filter(table_map=filters.map_id)
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    return rows


def choices(filters: ApprovalFilter) -> dict[str, Any]:
    """What the filter offers; of a chosen connection set only its maps."""
    sets = ConnectionSet.objects.within(filters.scope).order_by("name")
    maps = TableMap.objects.within(filters.scope).order_by("name")
    if filters.connection_set is not None:
        maps = maps.filter(connection_set=filters.connection_set)
    return {
        "sets": list(sets.values_list("pk", "name")),
        "maps": list(maps.values_list("pk", "name")),
        "states": ApprovalState.choices,
        "kinds": WaveKind.choices,
    }
