"""Reading the conflict log: filters that are links, and one conflict side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.http import urlencode

from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.errors.models import Conflict, ConflictState
from portal.labels import POLICIES
from portal.maps.models import TableMap

PERIODS = {"hour": 1, "day": 24, "week": 24 * 7, "month": 24 * 30}
COLUMNS_FROM = 2000
"""The filter offers the columns of so many newest conflicts."""

WINNERS = ("finops", "dataverse", "undecided")


@dataclass(frozen=True)
class ConflictFilter:
    """What the log is narrowed to; `period` is how far back."""

    map_id: int | None = None
    state: str = ""
    policy: str = ""
    winner: str = ""
    column: str = ""
    key: str = ""
    period: str = ""
    scope: Scope = EVERYTHING

    @staticmethod
    def read(values: Mapping[str, str], user: Any = None) -> ConflictFilter:
        """From a query string or a form; what is unknown is ignored."""

        def known(name: str, choices: Any) -> str:
            value = values.get(name, "")
            return value if value in choices else ""

        wanted = values.get("map", "")
        return ConflictFilter(
            map_id=int(wanted) if wanted.isdecimal() and len(wanted) < 19 else None,
            state=known("state", ConflictState.values),
            policy=known("policy", POLICIES),
            winner=known("winner", WINNERS),
            column=values.get("column", "").strip(),
            key=values.get("key", "").strip(),
            period=known("period", PERIODS),
            scope=scope_of(user),
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As names and values, for forms."""
        values = {
            "map": str(self.map_id or ""),
            "state": self.state,
            "policy": self.policy,
            "winner": self.winner,
            "column": self.column,
            "key": self.key,
            "period": self.period,
        }
        return [(name, value) for name, value in values.items() if value]

    @property
    def narrowed(self) -> bool:
        """True when not everything is asked for."""
        return bool(self.pairs)

    @property
    def query(self) -> str:
        """As a query string, for links."""
        return urlencode(dict(self.pairs))


def matching(filters: ConflictFilter) -> QuerySet[Conflict]:
    """The conflicts a filter selects."""
    rows = Conflict.objects.within(filters.scope)
    equal = {
        "table_map_id": filters.map_id,
        "state": filters.state,
        "policy": filters.policy,
        "winner": filters.winner,
        "column": filters.column,
    }
    rows = rows.filter(**{name: value for name, value in equal.items() if value})
    if filters.key:
        rows = rows.filter(key_text__icontains=filters.key)
    if filters.period:
        since = timezone.now() - timedelta(hours=PERIODS[filters.period])
        rows = rows.filter(created_at__gte=since)
    return rows


def conflict_list(filters: ConflictFilter) -> QuerySet[Conflict]:
    """The rows of the list, without the payloads."""
    return (
        matching(filters)
        .select_related("table_map")
        .defer("finops_row", "dataverse_row", "dataverse_key", "subject")
    )


def choices(filters: ConflictFilter) -> dict[str, Any]:
    """What the filter offers: maps, and the columns that conflicted lately."""
    visible = Conflict.objects.within(filters.scope)
    newest = visible.order_by("-id").values_list("column", flat=True)
    columns = {name for name in newest[:COLUMNS_FROM] if name}
    return {
        "maps": list(
            TableMap.objects.within(filters.scope)
            .order_by("name")
            .values_list("pk", "name")
        ),
        "states": ConflictState.choices,
        "policies": list(POLICIES.items()),
        "columns": sorted(columns | ({filters.column} - {""})),
        "winners": [
            ("finops", "FinOps"),
            ("dataverse", "Dataverse"),
            ("undecided", "Nobody yet"),
        ],
        "periods": [
            ("hour", "Last hour"),
            ("day", "Last day"),
            ("week", "Last week"),
            ("month", "Last 30 days"),
        ],
    }


def undecided_count(user: Any = None) -> int:
    """How many conflicts wait for a person."""
    rows = Conflict.objects.visible_to(user)
    return rows.filter(state=ConflictState.UNDECIDED).count()


@dataclass(frozen=True)
class Line:
    """One column under its name on each side; `contested` ones come first."""

    finops: str
    dataverse: str
    finops_value: Any
    dataverse_value: Any
    contested: bool


def lines(conflict: Conflict) -> list[Line]:
    """Both versions of the row under the map's columns, as they were before the
    conflict was settled."""
    here, there = conflict.finops_row or {}, conflict.dataverse_row or {}
    contested = (
        set(conflict.finops_columns or ()),
        set(conflict.dataverse_columns or ()),
    )
    version = conflict.table_map.version
    pairs: list[tuple[str, str]] = []
    if version is not None:
        found = [(pair.finops, pair.dataverse) for pair in version.key_pairs.all()]
        found += [
            (line.finops or "", line.dataverse or "") for line in version.columns.all()
        ]
        pairs = list(dict.fromkeys(found))
    seen = {left for left, _ in pairs}, {right for _, right in pairs}
    pairs += [(name, "") for name in here if name not in seen[0]]
    pairs += [("", name) for name in there if name not in seen[1]]
    rows = [
        Line(
            left,
            right,
            here.get(left),
            there.get(right),
            left in contested[0] or right in contested[1],
        )
        for left, right in pairs
        if left in here or right in there
    ]
    return sorted(rows, key=lambda row: not row.contested)


def document(conflict: Conflict) -> dict[str, Any]:
    """One conflict of `dw conflicts --json`."""
    return {
        "id": conflict.pk,
        "map": conflict.table_map.name,
        "key": conflict.finops_key,
        "column": conflict.column,
        "state": conflict.state,
        "policy": conflict.policy,
        "winner": conflict.winner,
        "side": conflict.side,
        "reason": conflict.reason,
        "base": conflict.base,
        "finops": _version(conflict, "finops"),
        "dataverse": _version(conflict, "dataverse"),
        "created_at": conflict.created_at,
        "decided_at": conflict.decided_at,
        "refusal": conflict.refusal,
    }


def _version(conflict: Conflict, side: str) -> dict[str, Any] | None:
    row = getattr(conflict, f"{side}_row")
    names = getattr(conflict, f"{side}_columns") or []
    return None if row is None else {name: row.get(name) for name in names}
