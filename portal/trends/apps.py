from __future__ import annotations

from django.apps import AppConfig


class TrendsConfig(AppConfig):
    name = "portal.trends"
    label = "trends"
    verbose_name = "Trends"
    default_auto_field = "django.db.models.BigAutoField"
