from __future__ import annotations

from django.apps import AppConfig


class MailingConfig(AppConfig):
    name = "portal.mailing"
    label = "mailing"
    verbose_name = "Mail"
    default_auto_field = "django.db.models.BigAutoField"
