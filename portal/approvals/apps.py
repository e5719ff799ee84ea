"""Waves of changes that wait for approval."""

from __future__ import annotations

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """What is held, and what somebody decided."""

    name = "portal.approvals"
    label = "approvals"
