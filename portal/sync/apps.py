from __future__ import annotations

from django.apps import AppConfig


class SyncConfig(AppConfig):
    name = "portal.sync"
    label = "sync"
    verbose_name = "Synchronization"
    default_auto_field = "django.db.models.BigAutoField"
