"""Changes kept for later and what is counted of streams, for reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.sync.models import (
    KeptChange,
    QueuedChange,
    RememberedTable,
    RowCount,
    SavedQueue,
    SavedQueuePart,
    SetAsideChange,
    StreamLatency,
)
from syncengine.connectors.base import ChangeKind


class KindFilter(admin.SimpleListFilter):
    """By what happened to the row; the kinds are not looked for in the queue."""

    title = "kind"
    parameter_name = "kind"

    def lookups(
        self, request: HttpRequest, model_admin: Any
    ) -> Sequence[tuple[str, str]]:
        return [(kind.value, kind.value.capitalize()) for kind in ChangeKind]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[KeptChange]
    ) -> QuerySet[KeptChange]:
        chosen = self.value()
        return queryset.filter(kind=chosen) if chosen else queryset


class KeptChangeAdmin(ReadOnlyAdmin):
    """What lists of kept changes share."""

    list_display = ("table_map", "direction", "kind", "key_text", "committed_at")
    list_filter = (KindFilter, "direction")
    list_select_related = ("table_map",)
    search_fields = ("key_text",)


@admin.register(QueuedChange)
class QueuedChangeAdmin(KeptChangeAdmin):
    """Changes that wait, newest first."""


@admin.register(SetAsideChange)
class SetAsideChangeAdmin(KeptChangeAdmin):
    """Changes of queues that were skipped, newest first."""


class SavedQueuePartInline(ReadOnlyInline):
    """The pieces of the file with their sizes; the map's page has the file itself."""

    model = SavedQueuePart
    fields = readonly_fields = ("number", "compressed")
    per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedQueuePart]:
        """Without the content: a file may be large."""
        rows: QuerySet[SavedQueuePart] = super().get_queryset(request)
        return rows.defer("content").annotate(length=Length("content"))

    @admin.display(description="compressed bytes")
    def compressed(self, part: SavedQueuePart) -> str:
        """Its size as it is stored."""
        return f"{part.length:,}"  # type: ignore[attr-defined]


@admin.register(SavedQueue)
class SavedQueueAdmin(ReadOnlyAdmin):
    """Queues that were thrown away and kept as files, newest first."""

    list_display = ("table_map", "created_at", "created_by", "changes", "bytes")
    list_select_related = ("table_map", "created_by")
    inlines = (SavedQueuePartInline,)


@admin.register(RememberedTable)
class RememberedTableAdmin(ReadOnlyAdmin):
    """Tables as last seen."""

    list_display = ("name", "connection_set", "side")
    list_filter = ("connection_set",)
    list_select_related = ("connection_set",)
    search_fields = ("name",)


@admin.register(RowCount)
class RowCountAdmin(ReadOnlyAdmin):
    """Records carried over live, by what became of them."""

    list_display = ("table_map", "direction", "outcome", "rows")
    list_filter = ("direction",)
    list_select_related = ("table_map",)


@admin.register(StreamLatency)
class StreamLatencyAdmin(ReadOnlyAdmin):
    """How long transactions took, by stream."""

    list_display = ("stream", "seconds")
    list_select_related = ("stream__connection_set",)
