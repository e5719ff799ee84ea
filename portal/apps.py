from __future__ import annotations

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The project itself: commands, static files and templates that belong to no
    topic."""

    name = "portal"
    label = "portal"
