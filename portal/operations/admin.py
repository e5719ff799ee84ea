"""Processes, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.operations.models import Process


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """Signs of life; the system page says what they mean."""

    list_display = ("name", "kind", "version", "seen_at")
