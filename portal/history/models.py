"""What was carried to the other side, kept for a while (docs/adr/0017)."""

from __future__ import annotations

from django.db import models


class CarriedChange(models.Model):
    """One record that a stream wrote. The table is partitioned by the day of `at`, so
    that old days go at once; it refers to nothing, so that writing costs little. The
    hashes are those of the key on either side without the company (`history.keys`);
    `other_hash` is empty where both are the same. `before` and `after` are JSON."""

    at = models.DateTimeField()
    map_id = models.BigIntegerField()
    direction = models.CharField(max_length=20)
    kind = models.CharField(max_length=10)
    phase = models.CharField(max_length=10)
    version = models.TextField()
    position = models.TextField()
    transaction_id = models.TextField()
    committed_at = models.DateTimeField()
    source_key = models.TextField()
    target_key = models.TextField()
    key_hash = models.BigIntegerField()
    other_hash = models.BigIntegerField(null=True)
    before = models.TextField()
    after = models.TextField()
    changes = models.IntegerField()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["key_hash"], name="carried_of_key"),
            models.Index(
                fields=["other_hash"],
                condition=models.Q(other_hash__isnull=False),
                name="carried_of_other_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_key} {self.kind}"


class HistoryGap(models.Model):
    """So many records of a map were written between two moments without being kept:
    more came than the history takes, or it could not be written."""

    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    map_id = models.BigIntegerField()
    direction = models.CharField(max_length=20)
    records = models.BigIntegerField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["map_id", "-ended_at"], name="gap_of_map")]

    def __str__(self) -> str:
        return f"{self.records} of map {self.map_id}"
