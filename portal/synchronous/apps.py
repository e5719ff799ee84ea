from __future__ import annotations

from django.apps import AppConfig


class SynchronousConfig(AppConfig):
    name = "portal.synchronous"
    label = "synchronous"
    verbose_name = "Synchronous mode"
    default_auto_field = "django.db.models.BigAutoField"
