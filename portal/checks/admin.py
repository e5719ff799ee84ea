"""Health reports, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.checks.models import HealthReport


@admin.register(HealthReport)
class HealthReportAdmin(ReadOnlyAdmin):
    """The last report of each map and connection set, newest first."""

    list_display = ("connection_set", "table_map", "errors", "warnings", "checked_at")
    list_filter = ("connection_set",)
    list_select_related = ("connection_set", "table_map")
