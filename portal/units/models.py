"""The decision log of atomic writes: one row a unit, durable before either side
commits."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet


class UnitStates(models.TextChoices):
    """Where a unit stands."""

    PREPARING = "preparing", "Preparing"
    COMMITTING = "committing", "Committing"
    COMMITTED = "committed", "Committed"
    ABORTED = "aborted", "Aborted"


class AtomicUnit(models.Model):
    """A unit of records of both sides. `unit_id` is the caller's; `digest` tells a
    repeated call from another unit under the same id; `attempt` rises when an aborted
    unit is tried again."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="units"
    )
    unit_id = models.CharField(max_length=100)
    attempt = models.PositiveIntegerField(default=1)
    digest = models.CharField(max_length=64)
    state = models.CharField(
        max_length=10, choices=UnitStates.choices, default=UnitStates.PREPARING
    )
    records = models.PositiveIntegerField()
    written = models.JSONField(default=dict, blank=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    record = models.PositiveIntegerField(null=True, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    begun_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "atomic write"
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set", "unit_id"], name="unit_id_once_per_set"
            ),
            models.CheckConstraint(
                name="unit_state_known", condition=Q(state__in=UnitStates.values)
            ),
        ]
        indexes = [
            # What the resolver asks every few seconds.
            models.Index(
                fields=["connection_set"],
                name="unit_unfinished",
                condition=Q(state__in=("preparing", "committing")),
            )
        ]

    def __str__(self) -> str:
        return self.unit_id

    @property
    def name(self) -> str:
        """The name of this attempt on both sides."""
        return f"{self.unit_id}#{self.attempt}"
