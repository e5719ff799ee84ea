"""The versions of a map: history, two side by side, going back."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest

from portal.access import may
from portal.accounts.roles import Right
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, MapVersion, TableMap
from portal.maps.shown_changes import ShownComparison, shown
from portal.maps.versions import why_fixed
from portal.pages import chosen_ids, keyset_page
from syncengine.mapping.comparison import compare_maps

CHOICES = 200
"""How many versions the fields for comparing offer."""


def context(request: HttpRequest, table_map: TableMap) -> dict[str, Any]:
    """What the tab shows; `?from=` and `?to=` are the versions to compare."""
    rows = (
        MapVersion.objects.filter(table_map=table_map)
        .select_related("created_by")
        .annotate(lines=Count("columns"))
    )
    choices = list(rows.order_by("-id")[:CHOICES])
    first, second = (_chosen(table_map, request, name) for name in ("from", "to"))
    return {
        "page": keyset_page(rows, request),
        "choices": choices,
        "first": first,
        "second": second,
        "comparison": compare(first, second) if first and second else None,
        "fixed": why_fixed(table_map),
        "may_change": may(request, Right.EDIT_MAPS),
    }


def _chosen(table_map: TableMap, request: HttpRequest, name: str) -> MapVersion | None:
    ids = chosen_ids([request.GET.get(name, "")])
    found = MapVersion.objects.filter(table_map=table_map, pk__in=ids)
    return found.select_related("table_map").first()


def compare(first: MapVersion, second: MapVersion) -> ShownComparison:
    """What the second changes in the first."""
    return shown(compare_maps(to_engine(first), to_engine(second)))


def offered_instead(table_map: TableMap, trouble: str) -> MapVersion | None:
    """The version before the current one, to go back to when a run has failed."""
    if not trouble or table_map.state != MapState.NOT_RUNNING:
        return None
    earlier = MapVersion.objects.filter(table_map=table_map)
    return earlier.filter(pk__lt=table_map.version_id or 0).order_by("-id").first()
