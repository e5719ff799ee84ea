from __future__ import annotations

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    name = "portal.overview"
    label = "overview"
    verbose_name = "Overview"
    default_auto_field = "django.db.models.BigAutoField"
