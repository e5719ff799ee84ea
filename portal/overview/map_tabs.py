"""What the tabs of a map's page show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet

from portal.maps.conversion import decision_of
from portal.maps.models import ColumnMap, KeyPair, MapVersion, SharedValueMap
from portal.pages import COUNT_LIMIT
from portal.sync.models import QueuedChange, SavedQueue, SetAsideChange
from syncengine.mapping.decisions import DecisionTable


@dataclass(frozen=True)
class ColumnLine:
    """One column map with what the table marks."""

    column: ColumnMap
    key: bool
    pairs: Sequence[tuple[str, str]]
    decision: DecisionTable | None = None
    value_map_id: int | None = None

    @property
    def plain(self) -> bool:
        """True when the value is carried as it is."""
        return self.column.default is None and not (
            self.pairs or self.decision or self.column.expression or self.column.sticky
        )


def column_lines(version: MapVersion) -> list[ColumnLine]:
    """The lines of a version; key pairs that are no column map come first, since
    they are carried over too."""
    keys = [(pair.finops, pair.dataverse) for pair in _keys(version)]
    columns = list(
        version.columns.prefetch_related(
            "values", "decision_sources", "decision_rules__values"
        ).order_by("position")
    )
    names = {column.value_map for column in columns if column.value_map}
    shared = SharedValueMap.objects.filter(name__in=names).values_list("name", "pk")
    ids = dict(shared) if names else {}
    mapped = {(column.finops, column.dataverse) for column in columns}
    lines = [
        ColumnLine(ColumnMap(finops=pair[0], dataverse=pair[1], type="="), True, ())
        for pair in keys
        if pair not in mapped
    ]
    lines += [
        ColumnLine(
            column,
            (column.finops, column.dataverse) in keys,
            [(pair.finops_value, pair.dataverse_value) for pair in column.values.all()],
            decision_of(column),
            ids.get(column.value_map),
        )
        for column in columns
    ]
    return lines


def _keys(version: MapVersion) -> QuerySet[KeyPair]:
    return version.key_pairs.order_by("position")


def queue_of(map_id: int, search: str = "", user: Any = None) -> QuerySet[QueuedChange]:
    """The queued changes of a map, by part of the record's key."""
    rows = QueuedChange.objects.visible_to(user).filter(table_map=map_id)
    return rows.filter(key_text__icontains=search) if search else rows


@dataclass(frozen=True)
class SetAsideTotals:
    """What is set aside of a map; counted no further than the limit."""

    number: int
    oldest: datetime | None


def set_aside_of(map_id: int, user: Any = None) -> SetAsideTotals:
    """How much is set aside, and since when."""
    rows = SetAsideChange.objects.visible_to(user).filter(table_map=map_id).order_by()
    portion = rows.values("committed_at")[: COUNT_LIMIT + 1]
    found = portion.aggregate(number=Count("committed_at"), oldest=Min("committed_at"))
    return SetAsideTotals(found["number"], found["oldest"])


def saved_queues_of(map_id: int) -> list[SavedQueue]:
    """Queues of the map that were thrown away and kept as files, newest first."""
    rows = SavedQueue.objects.filter(table_map=map_id).select_related("created_by")
    return list(rows[:50])
