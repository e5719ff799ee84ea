from __future__ import annotations

from django.apps import AppConfig


class ChecksConfig(AppConfig):
    name = "portal.checks"
    label = "checks"
    verbose_name = "Health checks"
    default_auto_field = "django.db.models.BigAutoField"
