"""Users of the portal."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person (or script) that signs in; our own class so that it can grow."""
