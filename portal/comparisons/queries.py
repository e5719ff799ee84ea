"""Reading comparisons: the last of each map, history, and differences page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.http import urlencode

from portal.comparisons.models import (
    Comparison,
    ComparisonSchedule,
    ComparisonState,
    FoundDifference,
    KindChoices,
)
from portal.maps.models import TableMap

CSV_COLUMNS = ("kind", "key", "column", "finops", "dataverse", "reason", "failure")
DRIFT_SHOWN = 30
BAR_HEIGHT = 48


def latest(map_ids: Iterable[int]) -> dict[int, Comparison]:
    """The last completed comparison of each map as a whole, in one query."""
    rows = (
        Comparison.objects.filter(
            table_map__in=list(map_ids),
            state=ComparisonState.COMPLETED,
            selection=None,
        )
        .order_by("table_map_id", "-id")
        .distinct("table_map_id")
    )
    return {one.table_map_id: one for one in rows}


def history(table_map: TableMap | None = None) -> QuerySet[Comparison]:
    """Comparisons, newest first."""
    rows = Comparison.objects.select_related("table_map", "requested_by")
    return rows if table_map is None else rows.filter(table_map=table_map)


def all_schedules() -> QuerySet[ComparisonSchedule]:
    """Every schedule, those of sets first."""
    return ComparisonSchedule.objects.select_related(
        "connection_set", "table_map"
    ).order_by("connection_set__name", "table_map__name")


def schedule_of(table_map: TableMap) -> ComparisonSchedule | None:
    """The schedule the map follows: its own, else that of its set."""
    found = list(
        ComparisonSchedule.objects.filter(
            connection_set=table_map.connection_set_id
        ).filter(table_map__in=[table_map])
        | ComparisonSchedule.objects.filter(
            connection_set=table_map.connection_set_id, table_map=None
        )
    )
    own = [one for one in found if one.table_map_id is not None]
    return (own or found or [None])[0]


@dataclass(frozen=True)
class Bar:
    """One completed comparison in the small chart of a map's drift: where its bar
    begins, from the top, and how high it is."""

    comparison: Comparison
    height: int

    @property
    def top(self) -> int:
        """Where it begins."""
        return BAR_HEIGHT - self.height


def drift(table_map: TableMap) -> list[Bar]:
    """The last completed comparisons, oldest first, each with the height of its
    bar."""
    rows = list(
        Comparison.objects.filter(
            table_map=table_map,
            state=ComparisonState.COMPLETED,
            selection=None,
            winner="",
        )[:DRIFT_SHOWN]
    )[::-1]
    most = max((one.differences for one in rows), default=0)
    return [
        Bar(one, max(4, round(BAR_HEIGHT * one.differences / most)))
        if one.differences
        else Bar(one, 1)
        for one in rows
    ]


@dataclass(frozen=True)
class DifferenceFilter:
    """What the list of differences is narrowed to."""

    kind: str = ""
    key: str = ""
    column: str = ""

    @staticmethod
    def read(values: Mapping[str, str]) -> DifferenceFilter:
        """From a query string; what is unknown is ignored."""
        kind = values.get("kind", "")
        return DifferenceFilter(
            kind=kind if kind in KindChoices.values else "",
            key=values.get("key", "").strip(),
            column=values.get("column", "").strip(),
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(self.kind or self.key or self.column)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values that are set."""
        values = {"kind": self.kind, "key": self.key, "column": self.column}
        return [(name, value) for name, value in values.items() if value]

    @property
    def query(self) -> str:
        """As a query string, for links."""
        return urlencode(self.pairs)


def differences(
    comparison: Comparison, filters: DifferenceFilter, user: Any = None
) -> QuerySet[FoundDifference]:
    """The kept differences that match, with their columns."""
    rows = FoundDifference.objects.visible_to(user).filter(comparison=comparison)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    if filters.key:
        rows = rows.filter(key_text__icontains=filters.key)
    if filters.column:
        rows = rows.filter(columns__column=filters.column)
    return rows.prefetch_related("columns")


def columns_found(comparison: Comparison) -> Sequence[str]:
    """The columns in which something differs, for the filter."""
    return list(
        FoundDifference.objects.filter(comparison=comparison)
        .order_by("columns__column")
        .exclude(columns__column=None)
        .values_list("columns__column", flat=True)
        .distinct()[:200]
    )


def csv_rows(
    comparison: Comparison,
    filters: DifferenceFilter | None = None,
    user: Any = None,
) -> Iterator[list[Any]]:
    """One line for each differing column, or for a record without any."""
    rows = differences(comparison, filters or DifferenceFilter(), user)
    for one in rows.order_by("id").iterator(chunk_size=2000):
        before = [one.kind, one.key_text]
        after = [one.reason, one.failure]
        columns = list(one.columns.all())
        for column in columns:
            yield [*before, column.column, column.finops, column.dataverse, *after]
        if not columns:
            yield [*before, "", "", "", *after]
