"""The activity log as a page and as a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.activity import queries
from portal.activity.changes import changes_text
from portal.activity.queries import ActivityFilter
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.pages import csv_download, keyset_page, page

CSV_COLUMNS = (
    "time",
    "user",
    "kind",
    "message",
    "connection_set",
    "map",
    "old_state",
    "new_state",
    "changes",
    "correlation_id",
)


@needs(Right.SEE, picked={"map": TableMap, "set": ConnectionSet})
@require_safe
def activity_list(request: HttpRequest) -> HttpResponse:
    """What happened, newest first."""
    filters = ActivityFilter.read(request.GET, user=request.user)
    return page(
        request,
        "portal/activity_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(
                queries.activity_list(filters), request, shared=filters.shared
            ),
            "choices": queries.choices(request.user),
        },
        title="Activity",
    )


@needs(Right.SEE, picked={"map": TableMap, "set": ConnectionSet})
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The events that match the filter as CSV."""
    filters = ActivityFilter.read(request.GET, user=request.user)
    rows = queries.activity_list(filters).order_by("-id")

    def lines() -> Iterator[list[Any]]:
        for event in rows.iterator(chunk_size=2000):
            yield [
                event.created_at.isoformat(),
                event.who,
                event.kind,
                event.message,
                event.connection_set.name if event.connection_set else "",
                event.table_map.name if event.table_map else "",
                event.old_state,
                event.new_state,
                changes_text(event.details),
                event.correlation_id,
            ]

    return csv_download("activity.csv", CSV_COLUMNS, lines())
