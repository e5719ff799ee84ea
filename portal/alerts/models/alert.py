"""What somebody should know now."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap


class Severity(models.TextChoices):
    """How much it presses."""

    INFO = "info", "Good to know"
    WARNING = "warning", "Warning"
    ERROR = "error", "Needs you"


class Alert(models.Model):
    """Something that holds now (or held, once closed). `subject` names what it is
    about: the connection set, the map and, where one of them can have several, more;
    an alert that is raised again while open is only counted up. `told_at` and
    `over_told_at` say when messages about it, and about its end, were made."""

    kind = models.SlugField(max_length=60, db_index=False)
    subject = models.CharField(max_length=200)
    severity = models.CharField(
        max_length=10, choices=Severity.choices, default=Severity.WARNING
    )
    connection_set = models.ForeignKey(
        ConnectionSet,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
    )
    table_map = models.ForeignKey(
        TableMap,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
    )
    message = models.TextField()
    details = models.JSONField(default=dict, blank=True)
    opened_at = models.DateTimeField()
    last_seen = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    over_told_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ScopedManager("connection_set", key="details__record", some=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(closed_at__isnull=True),
                name="alert_one_open_per_subject",
            ),
            models.CheckConstraint(
                name="alert_severity_known", condition=Q(severity__in=Severity.values)
            ),
        ]
        indexes = [
            models.Index(
                fields=["-id"],
                condition=Q(closed_at__isnull=True),
                name="alert_list_of_open",
            ),
            models.Index(
                fields=["id"],
                condition=Q(told_at__isnull=True),
                name="alert_to_be_told",
            ),
            models.Index(
                fields=["id"],
                condition=Q(closed_at__isnull=False, over_told_at__isnull=True),
                name="alert_over_to_be_told",
            ),
            models.Index(
                fields=["snoozed_until"],
                condition=Q(snoozed_until__isnull=False),
                name="alert_snoozed",
            ),
            models.Index(fields=["closed_at"], name="alert_closed_for_purge"),
        ]

    def __str__(self) -> str:
        return self.message
