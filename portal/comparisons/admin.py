"""Comparisons and what they found, for reading, and their schedules."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.comparisons.models import (
    Comparison,
    ComparisonSchedule,
    DifferentColumn,
    FoundDifference,
)


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    """Comparisons, newest first."""

    list_display = ("id", "table_map", "winner", "state", "in_step", "created_at")
    list_filter = ("state", "trigger")
    list_select_related = ("table_map",)


class DifferentColumnInline(ReadOnlyInline):
    """The columns whose values differ."""

    model = DifferentColumn


@admin.register(FoundDifference)
class FoundDifferenceAdmin(ReadOnlyAdmin):
    """Records that were not in step, newest first."""

    list_display = ("key_text", "comparison", "kind", "reason", "failure")
    list_filter = ("kind",)
    list_select_related = ("comparison__table_map",)
    search_fields = ("key_text",)
    inlines = (DifferentColumnInline,)


@admin.register(ComparisonSchedule)
class ComparisonScheduleAdmin(ModelAdmin):
    """When maps are compared by themselves."""

    list_display = ("connection_set", "table_map", "time", "enabled")
    list_select_related = ("connection_set", "table_map")
