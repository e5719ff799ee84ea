"""Comparisons for reading, and their schedules."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from portal.administration import ReadOnlyAdmin
from portal.comparisons.models import Comparison, ComparisonSchedule


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    """Comparisons, newest first."""

    list_display = ("id", "table_map", "winner", "state", "in_step", "created_at")
    list_filter = ("state", "trigger")
    list_select_related = ("table_map",)


@admin.register(ComparisonSchedule)
class ComparisonScheduleAdmin(ModelAdmin):
    """When maps are compared by themselves."""

    list_display = ("connection_set", "table_map", "time", "enabled")
    list_select_related = ("connection_set", "table_map")
