"""Approvals for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.approvals.models import Approval


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """Held waves, newest first."""

    list_display = ("held_at", "table_map", "kind", "count", "rows", "state")
    list_filter = ("state", "kind")
    list_select_related = ("table_map",)
