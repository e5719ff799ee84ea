from __future__ import annotations

from django.apps import AppConfig


class EditorConfig(AppConfig):
    name = "portal.editor"
    label = "editor"
    verbose_name = "Map editor"
    default_auto_field = "django.db.models.BigAutoField"
