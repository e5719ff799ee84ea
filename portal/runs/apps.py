from __future__ import annotations

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "portal.runs"
    label = "runs"
    verbose_name = "Initial sync runs"
    default_auto_field = "django.db.models.BigAutoField"
