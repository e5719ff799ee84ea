"""Initial sync runs: one per map, a leg run per direction and company, chunks."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import SideChoices
from portal.maps.models import DirectionChoices, TableMap


class RunState(models.TextChoices):
    """How far a run, or a leg of it, is."""

    WAITING = "waiting", "Waiting"
    COPYING = "copying", "Copying"
    LINKING = "linking", "Filling references"
    DRAINING = "draining", "Catching up"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_RUN_STATES = (
    RunState.WAITING,
    RunState.COPYING,
    RunState.LINKING,
    RunState.DRAINING,
)
COPYING_STATES = (RunState.COPYING, RunState.LINKING)
"""The states in which workers copy chunks."""

UNCOPIED_STATES = (RunState.WAITING, *COPYING_STATES)
"""The states in which rows are still to come."""


class ChunkState(models.TextChoices):
    """How far a chunk is."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DEFERRED = "deferred", "Waiting for other rows"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


OPEN_CHUNK_STATES = (ChunkState.WAITING, ChunkState.RUNNING, ChunkState.DEFERRED)


class RunMode(models.TextChoices):
    """What a run copies."""

    FULL = "full", "All rows"
    NEW_ROWS = "new_rows", "Only new rows"


class Outcome(models.TextChoices):
    """How a run ended: everything arrived, some records failed, or it broke off."""

    COMPLETED = "completed", "Completed"
    WARNING = "warning", "Warning"
    ERROR = "error", "Error"


class InitialSyncRun(models.Model):
    """One initial sync of one map; with `legal_entities` (FinOps codes), of these
    companies alone, which join a map that runs."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="runs"
    )
    master = models.CharField(max_length=10, choices=SideChoices.choices)
    state = models.CharField(
        max_length=10, choices=RunState.choices, default=RunState.WAITING
    )
    mode = models.CharField(
        max_length=10,
        choices=RunMode.choices,
        default=RunMode.FULL,
        db_default=RunMode.FULL.value,
    )
    outcome = models.CharField(
        max_length=10, choices=Outcome.choices, blank=True, default="", db_default=""
    )
    legal_entities = models.JSONField(default=list, db_default=[], blank=True)
    version = models.CharField(
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text="Publisher and version of the map when the run was asked for.",
    )
    position = models.IntegerField(
        default=0,
        db_default=0,
        help_text="Its place in the order of a run: the maps before it come first.",
    )
    error_limit = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="A leg with more failed records than this ends the run.",
    )
    error_percent = models.FloatField(
        null=True,
        blank=True,
        help_text="A leg with a larger share of failed records than this ends the run.",
    )
    message = models.TextField(blank=True)
    queued_revision = models.BigIntegerField(
        default=0,
        help_text="From this revision on the streams queue the map's changes.",
    )
    requested_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    copied_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When all rows had been copied, some perhaps without references.",
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    correlation_id = models.CharField(max_length=32, blank=True)

    objects = ScopedManager("table_map__connection_set")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "legal_entities"],
                condition=Q(state__in=ACTIVE_RUN_STATES),
                name="run_one_active_per_map_and_companies",
                violation_error_message="This map is being copied already.",
            )
        ]
        indexes = [
            models.Index(
                fields=["state"],
                condition=Q(state__in=ACTIVE_RUN_STATES),
                name="run_active_for_tick",
            ),
            models.Index(fields=["finished_at"], name="run_finished_for_purge"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} of {self.table_map}"

    @property
    def joins(self) -> bool:
        """True when companies join a map that runs."""
        return bool(self.legal_entities)

    @property
    def companies(self) -> str:
        """The companies that join, in words."""
        return ", ".join(self.legal_entities)


class Counts(models.Model):
    """What became of the rows; exported is the sum of the five others. `skipped` ones
    were there already and were to be left alone."""

    exported = models.BigIntegerField(default=0)
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


ADD_UP = Q(
    exported=F("inserted") + F("updated") + F("unchanged") + F("skipped") + F("failed")
)


class LegRun(Counts):
    """One direction of a run for one company ("" for tables without a company, or
    all companies at once). `order` 1 is the master's leg."""

    run = models.ForeignKey(
        InitialSyncRun, on_delete=models.CASCADE, related_name="legs"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    order = models.PositiveSmallIntegerField()
    legal_entity = models.CharField(max_length=60, blank=True)
    state = models.CharField(
        max_length=10, choices=RunState.choices, default=RunState.WAITING
    )
    total = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedManager("run__table_map__connection_set")

    class Meta:
        ordering = ["run", "order", "legal_entity"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "direction", "legal_entity"],
                name="leg_run_once_per_company",
            ),
            models.CheckConstraint(name="leg_run_counts_add_up", condition=ADD_UP),
        ]

    def __str__(self) -> str:
        return f"{self.run} {self.direction} {self.legal_entity}".strip()


class Chunk(Counts):
    """One key range (after, through] of a leg run, claimed by one worker at a time."""

    leg_run = models.ForeignKey(LegRun, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    after = models.JSONField(null=True, blank=True)
    through = models.JSONField(null=True, blank=True)
    state = models.CharField(
        max_length=10, choices=ChunkState.choices, default=ChunkState.WAITING
    )
    attempts = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    planned_rows = models.BigIntegerField(default=0)
    deferred = models.JSONField(
        null=True,
        blank=True,
        help_text="Keys of rows whose references are filled in a second pass.",
    )

    class Meta:
        ordering = ["leg_run", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["leg_run", "number"], name="chunk_number_once"
            ),
            models.CheckConstraint(name="chunk_counts_add_up", condition=ADD_UP),
        ]
        indexes = [
            models.Index(
                fields=["leg_run", "number"],
                condition=Q(state__in=OPEN_CHUNK_STATES),
                name="chunk_open_for_claim",
            )
        ]

    def __str__(self) -> str:
        return f"{self.leg_run} chunk {self.number}"
