"""What was carried, record by record."""

from __future__ import annotations

from django.apps import AppConfig


class HistoryConfig(AppConfig):
    """What was carried, record by record."""

    name = "portal.history"
    label = "history"
    verbose_name = "History"
