from __future__ import annotations

from django.apps import AppConfig


class UnitsConfig(AppConfig):
    name = "portal.units"
    label = "units"
    verbose_name = "Atomic writes"
    default_auto_field = "django.db.models.BigAutoField"
