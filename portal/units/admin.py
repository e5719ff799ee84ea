"""Atomic writes, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.units.models import AtomicUnit


@admin.register(AtomicUnit)
class AtomicUnitAdmin(ReadOnlyAdmin):
    """Units, newest first."""

    list_display = ("unit_id", "connection_set", "state", "records", "begun_at", "code")
    list_filter = ("state", "connection_set")
    list_select_related = ("connection_set",)
    search_fields = ("unit_id",)
    show_full_result_count = False
