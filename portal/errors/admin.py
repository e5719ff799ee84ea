"""Errors and conflicts, for reading; retry and dismiss are on the error pages."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.errors.models import (
    CauseComment,
    Conflict,
    ErrorArrivals,
    ErrorGroup,
    SyncError,
)


@admin.register(SyncError)
class SyncErrorAdmin(ReadOnlyAdmin):
    """Records that failed."""

    list_display = ("key_text", "table_map", "code", "column", "state", "last_seen")
    list_filter = ("state", "phase", "direction")
    list_select_related = ("table_map",)
    search_fields = ("key_text",)


class ErrorArrivalsInline(ReadOnlyInline):
    """Failures by hour."""

    model = ErrorArrivals


class CauseCommentInline(ReadOnlyInline):
    """What people wrote about a cause."""

    model = CauseComment


@admin.register(ErrorGroup)
class ErrorGroupAdmin(ReadOnlyAdmin):
    """Causes of errors."""

    list_display = ("text", "table_map", "code", "column", "waiting_count", "last_seen")
    list_filter = ("direction",)
    list_select_related = ("table_map",)
    search_fields = ("text", "code")
    inlines = (CauseCommentInline, ErrorArrivalsInline)


@admin.register(Conflict)
class ConflictAdmin(ReadOnlyAdmin):
    """Columns changed on both sides."""

    list_display = ("key_text", "table_map", "column", "policy", "winner", "created_at")
    list_select_related = ("table_map",)
    search_fields = ("key_text",)
