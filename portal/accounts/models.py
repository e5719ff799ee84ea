"""Users of the portal, and where they are signed in."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all time zones; looked for once, for that takes long."""
    return tuple(sorted(zoneinfo.available_timezones()))


def known_time_zone(value: str) -> None:
    """Refuse names that are no time zone."""
    if value not in time_zones():
        raise ValidationError(f"{value} is no time zone, such as Europe/Berlin.")


class Theme(models.TextChoices):
    """How pages look."""

    AUTO = "auto", "As the system does"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class User(AbstractUser):
    """A person (or script) that signs in. `limited`: sees only what its accesses list,
    nothing where there are none."""

    limited = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Sees only the connection sets and companies listed.",
    )
    theme = models.CharField(
        max_length=10, choices=Theme.choices, default=Theme.AUTO, db_default=Theme.AUTO
    )
    time_zone = models.CharField(
        max_length=60, default="UTC", db_default="UTC", validators=[known_time_zone]
    )


class SignedIn(models.Model):
    """One browser in which a user is signed in: a session, and who it belongs to."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=300, blank=True)
    signed_in_at = models.DateTimeField(auto_now_add=True)
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name = "session"
        ordering = ["-last_seen"]
        indexes = [models.Index(fields=["user", "-last_seen"], name="sessions_of_user")]

    def __str__(self) -> str:
        return f"{self.user} from {self.address or 'an unknown address'}"
