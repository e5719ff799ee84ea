from __future__ import annotations

from django.apps import AppConfig


class MapsConfig(AppConfig):
    name = "portal.maps"
    label = "maps"
    verbose_name = "Table maps"
    default_auto_field = "django.db.models.BigAutoField"
