"""The last result of each health check."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from syncengine.mapping.model import HealthFinding, Severity


class HealthReport(models.Model):
    """What the last check of a map, or without one of its connection set, found and
    when. `findings` are in the order shown; `needs` and `needed_by` name the related
    maps of a map in the order of a run."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="health_reports"
    )
    table_map = models.ForeignKey(
        TableMap,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="health_reports",
    )
    checked_at = models.DateTimeField()
    errors = models.PositiveIntegerField(default=0)
    warnings = models.PositiveIntegerField(default=0)
    findings = models.JSONField(default=list)
    needs = models.JSONField(default=list)
    needed_by = models.JSONField(default=list)

    objects = ScopedManager()

    class Meta:
        ordering = ["-checked_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map"], name="health_report_once_per_map"
            ),
            models.UniqueConstraint(
                fields=["connection_set"],
                condition=Q(table_map=None),
                name="health_report_once_per_set",
            ),
        ]

    def __str__(self) -> str:
        return f"Health of {self.table_map or self.connection_set}"

    @property
    def worst(self) -> str:
        """The worst severity that needs somebody, `clean` when there is none."""
        if self.errors:
            return Severity.ERROR.value
        return Severity.WARNING.value if self.warnings else "clean"

    def shown(self) -> list[HealthFinding]:
        """The findings as the engine gave them."""
        return [
            HealthFinding(**{**finding, "severity": Severity(finding["severity"])})
            for finding in self.findings
        ]
