"""Trends, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.trends.models import Trend


@admin.register(Trend)
class TrendAdmin(ReadOnlyAdmin):
    """What the dashboard's charts are drawn from."""

    list_display = ("stream", "span", "began_at", "carried", "copied", "lag_seconds")
    list_filter = ("span", "stream__source")
