"""Changes kept for later while their map copies, pauses or resumes."""

from __future__ import annotations

from django.db import models

from portal.maps.models import DirectionChoices, TableMap


class QueuedChange(models.Model):
    """One source change in commit order (position, ordinal)."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="queued_changes"
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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["table_map", "direction", "position", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "position", "ordinal"],
                name="queued_change_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["table_map", "direction", "key_text"],
                name="queued_fold_by_key",
            )
        ]

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
