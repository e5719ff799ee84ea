"""Queued changes, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.sync.models import QueuedChange


@admin.register(QueuedChange)
class QueuedChangeAdmin(ReadOnlyAdmin):
    """Changes that wait, oldest first."""

    list_display = ("table_map", "direction", "kind", "key_text", "committed_at")
    list_filter = ("kind", "direction")
    list_select_related = ("table_map",)
    search_fields = ("key_text",)
