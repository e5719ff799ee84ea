"""Records that could not be carried over, and conflicts that were settled."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
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


class ErrorGroup(models.Model):
    """One cause of many errors: map, direction, code, column and the message without
    what differs from record to record. The database itself moves the counts with
    every change of an error (migration 0003), so that no reader counts a million."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="error_groups", db_index=False
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    code = models.CharField(max_length=60)
    column = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    signature = models.CharField(max_length=32)
    waiting_count = models.BigIntegerField(default=0, db_default=0)
    retrying_count = models.BigIntegerField(default=0, db_default=0)
    kept_count = models.BigIntegerField(default=0, db_default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    assigned_to = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )

    objects = ScopedManager(
        "table_map__connection_set", told_by=("errors.SyncError", "cause")
    )

    class Meta:
        ordering = ["-waiting_count", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "signature"],
                name="error_group_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["-waiting_count", "-id"],
                condition=Q(waiting_count__gt=0),
                name="error_group_with_open",
            ),
            models.Index(fields=["signature"], name="error_group_elsewhere"),
            models.Index(
                fields=["assigned_to"],
                condition=Q(assigned_to__isnull=False),
                name="error_group_of_owner",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table_map}: {self.text}"


class ErrorArrivals(models.Model):
    """How many failures of a cause one hour brought, retries left out. The database
    itself counts them as they come (migration 0010), so that a trend costs a few rows;
    it also takes these rows away with their cause."""

    cause = models.ForeignKey(
        ErrorGroup,
        on_delete=models.CASCADE,
        related_name="arrivals",
        db_constraint=False,
        db_index=False,
    )
    hour = models.DateTimeField()
    failures = models.BigIntegerField()

    class Meta:
        ordering = ["cause", "hour"]
        constraints = [
            models.UniqueConstraint(
                fields=["cause", "hour"], name="error_arrivals_once_an_hour"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="error_arrivals_old")]

    def __str__(self) -> str:
        return f"{self.hour}: {self.failures}"


class CauseComment(models.Model):
    """What somebody wrote about a cause; goes with it, as its arrivals do."""

    cause = models.ForeignKey(
        ErrorGroup,
        on_delete=models.CASCADE,
        related_name="comments",
        db_constraint=False,
    )
    user = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField(auto_now_add=True)
    text = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class SyncError(models.Model):
    """One record that waits for its cause to be mended. A later failure of the same
    record counts up the open error instead of adding another. `awaits` is the token of
    a record that must arrive first (`syncengine.awaiting`)."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="errors", db_index=False
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
    cause = models.ForeignKey(
        ErrorGroup,
        on_delete=models.CASCADE,
        related_name="errors",
        null=True,
        blank=True,
        db_index=False,
    )
    awaits = models.TextField(blank=True, default="", db_default="")
    closed_at = models.DateTimeField(null=True, blank=True)
    dismiss_reason = models.TextField(blank=True, default="", db_default="")
    dismissed_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )

    objects = ScopedManager("table_map__connection_set", key="key")

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
                fields=["-id"],
                condition=Q(state__in=OPEN_ERROR_STATES),
                name="error_open_list",
            ),
            models.Index(
                fields=["table_map", "-id"],
                condition=Q(state__in=OPEN_ERROR_STATES),
                name="error_open_of_map",
            ),
            models.Index(fields=["table_map", "-id"], name="error_list_of_map"),
            models.Index(fields=["state", "-id"], name="error_list_of_state"),
            models.Index(
                fields=["table_map", "-last_seen"], name="error_of_map_lately"
            ),
            models.Index(fields=["cause", "-id"], name="error_list_of_cause"),
            models.Index(
                fields=["table_map", "direction", "awaits"],
                condition=Q(state__in=OPEN_ERROR_STATES) & ~Q(awaits=""),
                name="error_waits_for",
            ),
            models.Index(
                fields=["group"],
                condition=Q(state__in=OPEN_ERROR_STATES) & ~Q(group=""),
                name="error_of_transaction",
            ),
            models.Index(
                fields=["closed_at"],
                condition=Q(closed_at__isnull=False),
                name="error_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.key_text}: {self.message}"


class ConflictState(models.TextChoices):
    """Where a conflict stands."""

    SETTLED = "settled", "Settled"
    UNDECIDED = "undecided", "Undecided"
    DECIDED = "decided", "Decided by a person"
    CLOSED = "closed", "Closed"


class Conflict(models.Model):
    """A column both sides changed, or a record that one side deleted and the other
    changed (`column` empty), and how it was settled: by the map's policy, by a person,
    or (closed) by users who made both sides agree. `key_text` is the record's key in
    FinOps. The rows are both versions before settling; null where a side lacked the
    record. `wanted_side` waits to be carried out; `refusal` says why it was not."""

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
    state = models.CharField(
        max_length=10,
        choices=ConflictState.choices,
        default=ConflictState.SETTLED,
        db_default=ConflictState.SETTLED.value,
    )
    subject = models.TextField(default="", db_default="", blank=True)
    finops_key = models.JSONField(null=True, blank=True)
    dataverse_key = models.JSONField(null=True, blank=True)
    finops_columns = models.JSONField(null=True, blank=True)
    dataverse_columns = models.JSONField(null=True, blank=True)
    finops_row = models.JSONField(null=True, blank=True)
    dataverse_row = models.JSONField(null=True, blank=True)
    finops_written_at = models.DateTimeField(null=True, blank=True)
    dataverse_written_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(default="", db_default="", blank=True)
    last_seen = models.DateTimeField(null=True, blank=True)
    side = models.CharField(max_length=10, default="", db_default="", blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    wanted_side = models.CharField(max_length=10, default="", db_default="", blank=True)
    refusal = models.TextField(default="", db_default="", blank=True)

    objects = ScopedManager("table_map__connection_set", key="finops_key")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Both streams may meet the same contest: it waits for a person once.
            models.UniqueConstraint(
                fields=["table_map", "subject"],
                condition=Q(state="undecided"),
                name="conflict_one_undecided_per_subject",
            )
        ]
        indexes = [
            models.Index(fields=["table_map", "-id"], name="conflict_list_of_map"),
            models.Index(fields=["state", "-id"], name="conflict_list_by_state"),
            models.Index(fields=["table_map", "key_text"], name="conflict_of_record"),
            models.Index(
                fields=["id"],
                condition=~Q(wanted_side=""),
                name="conflict_to_carry_out",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.key_text}: {self.column}"
