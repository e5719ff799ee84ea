"""Which processes of the portal live, by their own word."""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    """What a process is for. `ticks` is no process: the moments at which a worker last
    did what beat asks for every two seconds, which takes both."""

    WEB = "web", "Web"
    WORKER = "worker", "Worker"
    BEAT = "beat", "Beat"
    TICKS = "ticks", "Ticks"


class Process(models.Model):
    """A process and when it was last heard of. One that ends takes its row along; of
    one that was killed it stays for a day."""

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=200, blank=True)
    number = models.PositiveIntegerField("process id", default=0)
    version = models.CharField(max_length=40, blank=True)
    queues = models.CharField(max_length=200, blank=True)
    slots = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["kind", "host", "number"]
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name
