"""What streams carried over and how far behind they were, by minute and longer."""

from __future__ import annotations

from django.db import models

from portal.accounts.scope import ScopedManager
from portal.environments.models import Stream


class Span(models.IntegerChoices):
    """How many seconds one row stands for."""

    MINUTE = 60, "a minute"
    QUARTER = 900, "15 minutes"
    TWO_HOURS = 7200, "two hours"


class Trend(models.Model):
    """One stream during one span of time: records carried over live, rows copied by
    initial syncs, and the largest lag seen. The totals are those of the last sample,
    from which the next one is told apart."""

    stream = models.ForeignKey(
        Stream, on_delete=models.CASCADE, related_name="trends", db_index=False
    )
    span = models.PositiveIntegerField(choices=Span.choices)
    began_at = models.DateTimeField()
    sampled_at = models.DateTimeField()
    carried = models.BigIntegerField(default=0)
    copied = models.BigIntegerField(default=0)
    lag_seconds = models.FloatField(null=True, blank=True)
    carried_total = models.BigIntegerField(default=0)
    copied_total = models.BigIntegerField(default=0)

    objects = ScopedManager("stream__connection_set")

    class Meta:
        ordering = ["stream", "span", "began_at"]
        constraints = [
            # Serves the charts, too: one stream, one span, by time.
            models.UniqueConstraint(
                fields=["stream", "span", "began_at"], name="trend_once_per_span"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.began_at:%Y-%m-%d %H:%M}"
