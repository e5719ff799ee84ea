"""The history, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.history.models import CarriedChange, HistoryGap


@admin.register(CarriedChange)
class CarriedChangeAdmin(ReadOnlyAdmin):
    """What was carried, record by record."""

    list_display = ("at", "map_id", "direction", "kind", "source_key", "target_key")


@admin.register(HistoryGap)
class HistoryGapAdmin(ReadOnlyAdmin):
    """What was carried without being kept."""

    list_display = ("began_at", "ended_at", "map_id", "direction", "records")
