"""Encrypt stored secrets anew, after a key was put first in FIELD_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portal.environments.secrets import rotate


class Command(BaseCommand):
    """`manage.py rotate_secrets`."""

    help = "Encrypt stored secrets with the first of FIELD_ENCRYPTION_KEYS."

    def handle(self, *_: Any, **__: Any) -> None:
        self.stdout.write(f"{rotate()} secrets encrypted with the newest key.")
