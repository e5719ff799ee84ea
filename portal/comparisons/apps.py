"""Comparing and repairing maps."""

from __future__ import annotations

from django.apps import AppConfig


class ComparisonsConfig(AppConfig):
    """Comparisons of maps, what they found, and when they are made."""

    name = "portal.comparisons"
    label = "comparisons"
