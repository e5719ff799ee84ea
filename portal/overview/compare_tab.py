"""The tab of a map's page about its comparisons."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.approvals import guarding
from portal.comparisons import queries, services
from portal.maps.models import TableMap
from portal.pages import keyset_page

COMPARISONS_A_PAGE = 20


def context(request: HttpRequest, table_map: TableMap) -> dict[str, Any]:
    """The last comparison, drift over time, schedule and history."""
    return {
        "last": queries.latest([table_map.pk]).get(table_map.pk),
        "active": services.active_of(table_map),
        "bars": queries.drift(table_map),
        "schedule": queries.schedule_of(table_map),
        "guard": guarding.sentence(table_map),
        "page": keyset_page(
            queries.history(table_map), request, size=COMPARISONS_A_PAGE
        ),
    }
