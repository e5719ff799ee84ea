"""Waves of changes that were held, and what became of them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.maps.models import DirectionChoices, TableMap


class WaveKind(models.TextChoices):
    """What the changes do."""

    DELETE = "delete", "Deletes"
    UPDATE = "update", "Updates"


class ApprovalState(models.TextChoices):
    """What became of a held wave."""

    OPEN = "open", "Waits for you"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    LAPSED = "lapsed", "Lapsed"


class Approval(models.Model):
    """One wave of changes of one direction of a map. `rows` is how many rows the table
    has (at least); `saved` the file into which a rejected one went."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="approvals"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    kind = models.CharField(max_length=10, choices=WaveKind.choices)
    count = models.BigIntegerField()
    rows = models.BigIntegerField()
    sample = models.JSONField(default=list)
    state = models.CharField(
        max_length=10, choices=ApprovalState.choices, default=ApprovalState.OPEN
    )
    held_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    discarded = models.BigIntegerField(default=0)
    saved = models.ForeignKey(
        "sync.SavedQueue",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )

    objects = ScopedManager("table_map__connection_set")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction"],
                condition=Q(state="open"),
                name="approval_one_open_per_leg",
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.get_kind_display().lower()} of {self.table_map}"

    @property
    def percent(self) -> int:
        """The share of the table."""
        return min(100, 100 * self.count // self.rows) if self.rows else 100
