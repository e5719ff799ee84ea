"""How the portal sends mail; one row."""

from __future__ import annotations

from django.core.validators import (
    MaxValueValidator,
    MinValueValidator,
    RegexValidator,
)
from django.db import models
from django.db.models import Q

from portal.fields import EncryptedTextField

WEB_ADDRESS = RegexValidator(
    r"^https?://[^\s/?#]+[^\s?#]*\Z",
    "Write it as https://host or http://host:port.",
)


class Security(models.TextChoices):
    """How the connection to the mail server is kept from being read."""

    STARTTLS = "starttls", "STARTTLS (usual, port 587)"
    TLS = "tls", "TLS from the first byte (port 465)"
    NONE = "none", "None (port 25, only inside your own network)"


class MailSettings(models.Model):
    """The mail server and the sender; `portal_url` is where links in messages lead."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    host = models.CharField("mail server", max_length=255, blank=True)
    port = models.PositiveIntegerField(
        default=587, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    security = models.CharField(
        max_length=10, choices=Security.choices, default=Security.STARTTLS
    )
    username = models.CharField("user name", max_length=255, blank=True)
    password = EncryptedTextField(blank=True, default="")
    sender = models.CharField(max_length=255, blank=True)
    portal_url = models.CharField(
        "address of the portal", max_length=255, blank=True, validators=[WEB_ADDRESS]
    )
    digest_hour = models.PositiveSmallIntegerField(
        "hour of daily digests", default=7, validators=[MaxValueValidator(23)]
    )

    class Meta:
        verbose_name = verbose_name_plural = "mail settings"
        constraints = [
            models.CheckConstraint(name="mail_settings_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="mail_settings_security_known",
                condition=Q(security__in=Security.values),
            ),
        ]

    def __str__(self) -> str:
        return self.host or "no mail server"
