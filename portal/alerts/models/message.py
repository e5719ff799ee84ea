"""Where messages about alerts go, and what became of each."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q

from portal.alerts.models.alert import Alert
from portal.fields import EncryptedTextField


def new_secret() -> str:
    """A secret nobody can guess."""
    return secrets.token_urlsafe(32)


class Webhook(models.Model):
    """An address that is sent JSON, signed with a secret both ends know."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField("address", max_length=500)
    secret = EncryptedTextField(default=new_secret)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Channel(models.TextChoices):
    """How a message goes."""

    MAIL = "mail", "Mail"
    WEBHOOK = "webhook", "Webhook"


class Occasion(models.TextChoices):
    """What a message tells."""

    OPENED = "opened", "Opened"
    REMINDER = "reminder", "Reminder"
    OVER = "over", "Over"
    TEST = "test", "Test"


class DeliveryState(models.TextChoices):
    """What became of a message."""

    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"


class Delivery(models.Model):
    """One message about one alert to one recipient; without an alert, a test. Rows of
    a digest that are due together go as one mail. `rule` is the name the rule had."""

    alert = models.ForeignKey(
        Alert,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="deliveries",
    )
    rule = models.CharField(max_length=100, blank=True)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    occasion = models.CharField(max_length=10, choices=Occasion.choices)
    recipient = models.CharField(max_length=500)
    webhook = models.ForeignKey(
        Webhook,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="deliveries",
    )
    digest = models.CharField(max_length=10, blank=True)
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    not_before = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    code = models.CharField(max_length=40, blank=True)
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                name="delivery_state_known", condition=Q(state__in=DeliveryState.values)
            ),
            models.CheckConstraint(
                name="delivery_webhook_named",
                condition=~Q(channel=Channel.WEBHOOK) | Q(webhook__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["not_before", "id"],
                condition=Q(state=DeliveryState.WAITING),
                name="delivery_due",
            ),
            models.Index(
                fields=["claimed_at"],
                condition=Q(state=DeliveryState.SENDING),
                name="delivery_left_in_flight",
            ),
            models.Index(fields=["state", "-id"], name="delivery_list_of_state"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} to {self.recipient}"


class InboxItem(models.Model):
    """An alert in the inbox of a user, read or not."""

    user = models.ForeignKey(
        "accounts.User",
        on_delete=models.CASCADE,
        related_name="inbox",
        db_index=False,
    )
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="inboxes")
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "alert"], name="inbox_once_per_alert"
            )
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="inbox_list"),
            models.Index(
                fields=["user", "-id"],
                condition=Q(read_at__isnull=True),
                name="inbox_unread",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.alert}"
