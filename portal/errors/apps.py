from __future__ import annotations

from django.apps import AppConfig


class ErrorsConfig(AppConfig):
    name = "portal.errors"
    label = "errors"
    verbose_name = "Errors"
    default_auto_field = "django.db.models.BigAutoField"
