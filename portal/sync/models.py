"""Changes kept for later while their map copies, pauses or resumes."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from portal.accounts.scope import ScopedManager
from portal.environments.models import Stream
from portal.maps.models import DirectionChoices, TableMap


class KeptChange(models.Model):
    """One source change in commit order (position, ordinal)."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="%(class)ss"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    position = models.CharField(max_length=64, db_collation="C")
    ordinal = models.IntegerField()
    transaction_id = models.CharField(max_length=40)
    committed_at = models.DateTimeField()
    kind = models.CharField(max_length=10)
    key = models.JSONField()
    key_text = models.TextField()
    columns = models.JSONField()
    new = models.JSONField(null=True, blank=True)
    old = models.JSONField(null=True, blank=True)
    size = models.IntegerField(default=0)
    scope = models.BigIntegerField(
        default=0, db_default=0, help_text="The scope of the leg it waits for."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager("table_map__connection_set", key="key")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.kind} {self.key_text}"

    @property
    def changed_columns(self) -> list[str]:
        """The columns an update changed; none for a row that came or went, and all
        it brought where the row before is not known."""
        if self.kind != "update":
            return []
        if self.old is None or self.new is None:
            return list(self.columns)
        return [
            column
            for column, old, new in zip(self.columns, self.old, self.new, strict=True)
            if old != new
        ]


class QueuedChange(KeptChange):
    """A change that waits to be carried over, in order."""

    class Meta:
        ordering = ["table_map", "direction", "position", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "position", "ordinal", "scope"],
                name="queued_change_once_per_scope",
            )
        ]
        indexes = [
            models.Index(
                fields=["table_map", "direction", "key_text"],
                name="queued_fold_by_key",
            )
        ]


class SetAsideChange(KeptChange):
    """A change of a queue that was skipped: carried over later, record by record, or
    saved as a file."""

    class Meta:
        ordering = ["table_map", "direction", "position", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "position", "ordinal", "scope"],
                name="set_aside_change_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["table_map", "direction", "key_text"],
                name="set_aside_by_key",
            )
        ]


class SavedQueue(models.Model):
    """Changes that were taken out of a queue for good, kept as a file."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="saved_queues"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    changes = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    objects = ScopedManager("table_map__connection_set")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.table_map} {self.created_at:%Y-%m-%d %H:%M}"


class SavedQueuePart(models.Model):
    """A piece of such a file: lines of JSON, compressed."""

    saved_queue = models.ForeignKey(
        SavedQueue, on_delete=models.CASCADE, related_name="parts"
    )
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ["saved_queue", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["saved_queue", "number"], name="saved_queue_part_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.saved_queue} {self.number}"


class RememberedTable(models.Model):
    """A table of an environment as last seen, for while it cannot be asked."""

    connection_set = models.ForeignKey(
        "environments.ConnectionSet",
        on_delete=models.CASCADE,
        related_name="remembered_tables",
    )
    side = models.CharField(max_length=10)
    name = models.CharField(max_length=63)
    document = models.JSONField()

    class Meta:
        ordering = ["connection_set", "side", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set", "side", "name"],
                name="remembered_table_once",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RowCount(models.Model):
    """Records of a map that live sync has carried over, by what became of them."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="row_counts", db_index=False
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    outcome = models.CharField(max_length=10)
    rows = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["table_map", "direction", "outcome"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "outcome"], name="row_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.direction} {self.outcome}"


class StreamLatency(models.Model):
    """Transactions of a stream by the time from their commit until they were visible:
    a number for each bucket of `syncengine.latency`, and the sum of seconds."""

    stream = models.OneToOneField(
        Stream, on_delete=models.CASCADE, related_name="latency"
    )
    counts = ArrayField(models.BigIntegerField())
    seconds = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "stream latencies"

    def __str__(self) -> str:
        return str(self.stream)
