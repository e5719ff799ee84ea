"""What somebody should know now, and the rules that say when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap


class Severity(models.TextChoices):
    """How much it presses."""

    INFO = "info", "Good to know"
    WARNING = "warning", "Warning"
    ERROR = "error", "Needs you"


class Alert(models.Model):
    """Something that holds now (or held, once closed). `subject` names what it is
    about: the connection set, the map and, where one of them can have several, more;
    an alert that is raised again while open is only counted up."""

    kind = models.SlugField(max_length=60, db_index=False)
    subject = models.CharField(max_length=200)
    severity = models.CharField(
        max_length=10, choices=Severity.choices, default=Severity.WARNING
    )
    connection_set = models.ForeignKey(
        ConnectionSet,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
    )
    table_map = models.ForeignKey(
        TableMap,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
    )
    message = models.TextField()
    details = models.JSONField(default=dict, blank=True)
    opened_at = models.DateTimeField()
    last_seen = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(closed_at__isnull=True),
                name="alert_one_open_per_subject",
            ),
            models.CheckConstraint(
                name="alert_severity_known", condition=Q(severity__in=Severity.values)
            ),
        ]
        indexes = [
            models.Index(
                fields=["-id"],
                condition=Q(closed_at__isnull=True),
                name="alert_list_of_open",
            )
        ]

    def __str__(self) -> str:
        return self.message


class Measure(models.TextChoices):
    """What a rule looks at."""

    ERRORS = "errors", "Errors within the window"
    QUEUE_CHANGES = "queue_changes", "Queued changes"
    QUEUE_BYTES = "queue_bytes", "Queued bytes"
    QUEUE_MINUTES = "queue_minutes", "Age of the oldest queued change, minutes"
    LAG_SECONDS = "lag_seconds", "Lag of a stream, seconds"
    RETAINED_BYTES = "retained_bytes", "Log kept by a source, bytes"
    STREAM_DOWN = "stream_down", "A stream is down, for so many minutes"


class RuleAction(models.TextChoices):
    """What a rule does besides raising an alert."""

    NOTIFY = "notify", "Alert only"
    PAUSE = "pause", "Pause the map"
    STOP = "stop", "Stop the map"


class AlertRule(models.Model):
    """When to raise an alert. It counts for one map, for all maps of a connection
    set, or for all; changes take effect at once. `recipients` are addresses for
    notifications, separated by commas."""

    name = models.CharField(max_length=100, unique=True)
    connection_set = models.ForeignKey(
        ConnectionSet,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
        help_text="Empty: all.",
    )
    table_map = models.ForeignKey(
        TableMap,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
        help_text="Empty: all maps.",
    )
    measure = models.CharField(max_length=20, choices=Measure.choices)
    codes = models.CharField(
        "error codes",
        max_length=500,
        blank=True,
        help_text="Count only errors of these codes, separated by commas. Empty: all.",
    )
    threshold = models.BigIntegerField(
        help_text="The alert is raised when the measure reaches it."
    )
    window_minutes = models.PositiveIntegerField(
        default=15,
        help_text="Errors are counted within it; the action is done once in it.",
    )
    action = models.CharField(
        max_length=10, choices=RuleAction.choices, default=RuleAction.NOTIFY
    )
    recipients = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="alert_rule_measure_known",
                condition=Q(measure__in=Measure.values),
            ),
            models.CheckConstraint(
                name="alert_rule_action_known",
                condition=Q(action__in=RuleAction.values),
            ),
            models.CheckConstraint(
                name="alert_rule_threshold_positive",
                condition=Q(threshold__gt=0),
                violation_error_message="The threshold must be above zero.",
            ),
            models.CheckConstraint(
                name="alert_rule_window_positive",
                condition=Q(window_minutes__gt=0),
                violation_error_message="The window must be at least a minute.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RuleFiring(models.Model):
    """When a rule last acted on a subject: once in its window."""

    rule = models.ForeignKey(
        AlertRule, on_delete=models.CASCADE, related_name="firings"
    )
    subject = models.CharField(max_length=200)
    fired_at = models.DateTimeField()

    class Meta:
        ordering = ["rule", "subject"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"], name="rule_firing_once_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}"
