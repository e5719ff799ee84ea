"""Records that could not be carried over, and conflicts that were settled."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.maps.models import DirectionChoices, TableMap


class ErrorState(models.TextChoices):
    """What became of an error."""

    OPEN = "open", "Open"
    RETRYING = "retrying", "Retrying"
    RESOLVED = "resolved", "Resolved"
    SUPERSEDED = "superseded", "Superseded"
    DISMISSED = "dismissed", "Dismissed"


OPEN_ERROR_STATES = (ErrorState.OPEN, ErrorState.RETRYING)


class Phase(models.TextChoices):
    """Where it failed."""

    LIVE = "live", "Live"
    INITIAL = "initial", "Initial sync"
    QUEUE = "queue", "Queue"
    RETRY = "retry", "Retry"


class SyncError(models.Model):
    """One record that waits for its cause to be mended. A later failure of the same
    record counts up the open error instead of adding another."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="errors"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    phase = models.CharField(max_length=10, choices=Phase.choices)
    key = models.JSONField()
    key_text = models.TextField()
    code = models.CharField(max_length=60)
    column = models.CharField(max_length=200, blank=True)
    message = models.TextField()
    remote = models.TextField(blank=True)
    operation = models.CharField(max_length=10, default="upsert")
    group = models.CharField(max_length=100, blank=True)
    position = models.CharField(max_length=64, blank=True)
    source_row = models.JSONField(default=dict, blank=True)
    mapped_row = models.JSONField(default=dict, blank=True)
    state = models.CharField(
        max_length=10, choices=ErrorState.choices, default=ErrorState.OPEN
    )
    count = models.PositiveIntegerField(default=1)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-last_seen", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "key_text"],
                condition=Q(state__in=OPEN_ERROR_STATES),
                name="error_one_open_per_record",
            )
        ]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(state__in=OPEN_ERROR_STATES, not_before__isnull=False),
                name="error_due_for_retry",
            ),
            models.Index(
                fields=["table_map", "state", "-last_seen"],
                name="error_list_of_map",
            ),
            models.Index(fields=["state", "-last_seen"], name="error_list_of_all"),
            models.Index(fields=["table_map", "key_text"], name="error_of_record"),
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.key_text}: {self.message}"


class Conflict(models.Model):
    """A column both sides changed, and how it was settled."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="conflicts"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    key_text = models.TextField()
    column = models.CharField(max_length=200)
    policy = models.CharField(max_length=20)
    winner = models.CharField(max_length=20)
    base = models.TextField(null=True, blank=True)  # noqa: DJ001 - null is a value
    source_value = models.TextField(null=True, blank=True)  # noqa: DJ001
    target_value = models.TextField(null=True, blank=True)  # noqa: DJ001
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["table_map", "-id"], name="conflict_list_of_map")
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.key_text}: {self.column}"
