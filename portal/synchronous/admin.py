"""Synchronous mode, for reading; it is switched on its own page."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.synchronous.models import SynchronousMode


@admin.register(SynchronousMode)
class SynchronousModeAdmin(ReadOnlyAdmin):
    """Where synchronous mode of each stream stands."""

    list_display = ("stream", "state", "wanted", "since", "timeout_seconds", "reason")
    list_filter = ("state",)
    list_select_related = ("stream__connection_set",)
