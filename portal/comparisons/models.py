"""Comparisons of maps, the differences they found, and their schedules."""

from __future__ import annotations

from datetime import datetime

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet, SideChoices
from portal.maps.models import TableMap
from syncengine.reconcile import DifferenceKind


class ComparisonState(models.TextChoices):
    """How far a comparison is."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_STATES = (ComparisonState.WAITING, ComparisonState.RUNNING)


class Trigger(models.TextChoices):
    """Why a comparison is made."""

    MANUAL = "manual", "Asked for"
    SCHEDULED = "scheduled", "Scheduled"
    GAP = "gap", "After a gap"


class Comparison(models.Model):
    """One comparison of both sides of a map; with a `winner` a repair, which writes
    that side's rows over what differs. `compared` is the sum of equal, missing and
    different; `unclaimed` as in the engine."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="comparisons"
    )
    state = models.CharField(
        max_length=10, choices=ComparisonState.choices, default=ComparisonState.WAITING
    )
    trigger = models.CharField(
        max_length=10, choices=Trigger.choices, default=Trigger.MANUAL
    )
    winner = models.CharField(max_length=10, choices=SideChoices.choices, blank=True)
    delete_extra = models.BooleanField(
        default=False,
        help_text="Delete what only the losing side has, if the map flows both ways.",
    )
    selection = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="repairs",
        help_text="The comparison of whose chosen differences this is a repair.",
    )
    rows_per_second = models.PositiveIntegerField(default=0, help_text="0: no limit.")
    requested_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    message = models.TextField(blank=True)
    in_step = models.BooleanField(default=False)
    rows_read = models.BigIntegerField(default=0)
    equal = models.BigIntegerField(default=0)
    missing_in_finops = models.BigIntegerField(default=0)
    missing_in_dataverse = models.BigIntegerField(default=0)
    different = models.BigIntegerField(default=0)
    unclaimed = models.BigIntegerField(default=0)
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    left_alone = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    kept = models.BigIntegerField(default=0, help_text="Differences that are listed.")

    objects = ScopedManager("table_map__connection_set")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map"],
                condition=Q(state__in=ACTIVE_STATES),
                name="comparison_one_active_per_map",
                violation_error_message="This map is being compared already.",
            )
        ]
        indexes = [
            models.Index(fields=["table_map", "-id"], name="comparison_history_of_map"),
            models.Index(
                fields=["state"],
                condition=Q(state__in=ACTIVE_STATES),
                name="comparison_active_for_tick",
            ),
        ]

    def __str__(self) -> str:
        return f"{'Repair' if self.winner else 'Comparison'} {self.pk}"

    @property
    def active(self) -> bool:
        """True until it has ended."""
        return self.state in ACTIVE_STATES

    @property
    def differences(self) -> int:
        """How many records differ or are missing."""
        return self.missing_in_finops + self.missing_in_dataverse + self.different

    @property
    def compared(self) -> int:
        """How many records were looked at."""
        return self.equal + self.differences

    @property
    def as_of(self) -> datetime | None:
        """The moment the finding speaks of."""
        return self.started_at

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class KindChoices(models.TextChoices):
    """What is wrong with a record."""

    DIFFERENT = DifferenceKind.DIFFERENT.value, "Different"
    MISSING_IN_FINOPS = (
        DifferenceKind.MISSING_IN_FINOPS.value,
        "Missing in finance and operations",
    )
    MISSING_IN_DATAVERSE = (
        DifferenceKind.MISSING_IN_DATAVERSE.value,
        "Missing in Dataverse",
    )


class FoundDifference(models.Model):
    """One record that is not in step. `key` and `source_key` as in the engine;
    `failure` says why a repair could not write it."""

    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="found"
    )
    kind = models.CharField(max_length=24, choices=KindChoices.choices)
    key = models.JSONField()
    source_key = models.JSONField(null=True, blank=True)
    key_text = models.TextField()
    reason = models.TextField(blank=True)
    failure = models.TextField(blank=True)

    objects = ScopedManager("comparison__table_map__connection_set", key="key")

    class Meta:
        ordering = ["comparison", "-id"]
        indexes = [
            models.Index(
                fields=["comparison", "kind", "-id"], name="difference_list_of_kind"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key_text}"


class DifferentColumn(models.Model):
    """A column whose values differ, both in the form the map compares them in."""

    difference = models.ForeignKey(
        FoundDifference, on_delete=models.CASCADE, related_name="columns"
    )
    column = models.CharField(max_length=500)
    finops = models.TextField(null=True, blank=True)  # noqa: DJ001 - '' is a value
    dataverse = models.TextField(null=True, blank=True)  # noqa: DJ001

    class Meta:
        ordering = ["difference", "id"]

    def __str__(self) -> str:
        return self.column


class ComparisonSchedule(models.Model):
    """When the maps of a connection set, or one of them, are compared by
    themselves. A map with a schedule of its own does not follow that of its set."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="comparison_schedules"
    )
    table_map = models.OneToOneField(
        TableMap,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="comparison_schedule",
        help_text="Empty: all maps that run.",
    )
    hour = models.PositiveSmallIntegerField(
        default=2, validators=[MaxValueValidator(23)], help_text="UTC"
    )
    minute = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(59)]
    )
    rows_per_second = models.PositiveIntegerField(
        "rows a second", default=0, help_text="Spares both systems. 0: no limit."
    )
    enabled = models.BooleanField(default=True)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["connection_set", "table_map"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set"],
                condition=Q(table_map__isnull=True),
                name="comparison_schedule_once_per_set",
                violation_error_message="This connection set has a schedule already.",
            )
        ]

    def __str__(self) -> str:
        about = self.table_map or self.connection_set
        return f"{about} at {self.time}"

    @property
    def time(self) -> str:
        """`02:00`."""
        return f"{self.hour:02d}:{self.minute:02d}"
