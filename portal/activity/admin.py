"""The activity log, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.activity.models import ActivityEvent
from portal.administration import ReadOnlyAdmin


@admin.register(ActivityEvent)
class ActivityEventAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("created_at", "user", "kind", "message", "connection_set")
    list_filter = ("kind",)
    list_select_related = ("user", "connection_set")
    search_fields = ("message", "correlation_id")
