"""Whether the commits of a source's users wait for its stream."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.environments.models import Stream

DEFAULT_TIMEOUT = 5.0
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 1.0, 120.0


class GateState(models.TextChoices):
    """Where synchronous mode of one stream stands."""

    OFF = "off", "Off"
    ARMING = "arming", "Arming"
    ON = "on", "On"
    FALLEN_BACK = "fallen_back", "Fallen back"


class SynchronousMode(models.Model):
    """Synchronous mode of one stream. `wanted` is what an administrator asked for,
    `state` what holds now, `falls` how often in a row it fell back soon after it was
    armed, `ready` that the stream works by it."""

    stream = models.OneToOneField(
        Stream, on_delete=models.CASCADE, related_name="synchronous"
    )
    wanted = models.BooleanField(default=False)
    timeout_seconds = models.FloatField(
        default=DEFAULT_TIMEOUT,
        validators=[
            MinValueValidator(SHORTEST_TIMEOUT),
            MaxValueValidator(LONGEST_TIMEOUT),
        ],
    )
    state = models.CharField(
        max_length=12, choices=GateState.choices, default=GateState.OFF
    )
    since = models.DateTimeField(default=timezone.now)
    reason = models.TextField(blank=True)
    falls = models.PositiveIntegerField(default=0)
    arm_after = models.DateTimeField(null=True, blank=True)
    ready = models.BooleanField(default=False)

    class Meta:
        ordering = ["stream"]
        constraints = [
            models.CheckConstraint(
                name="synchronous_state_known",
                condition=Q(state__in=GateState.values),
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream}: {self.get_state_display()}"
