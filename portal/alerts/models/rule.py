"""The rules that say when to raise an alert, and whom to tell."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from portal.accounts.models import known_time_zone
from portal.accounts.scope import ScopedManager
from portal.alerts.models.message import Webhook
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap


class Measure(models.TextChoices):
    """What a rule looks at."""

    ERRORS = "errors", "Errors within the window"
    QUEUE_CHANGES = "queue_changes", "Queued changes"
    QUEUE_BYTES = "queue_bytes", "Queued bytes"
    QUEUE_MINUTES = "queue_minutes", "Age of the oldest queued change, minutes"
    LAG_SECONDS = "lag_seconds", "Lag of a stream, seconds"
    RETAINED_BYTES = "retained_bytes", "Log kept by a source, bytes"
    STREAM_DOWN = "stream_down", "A stream is down, for so many minutes"
    RUN_DONE = "run_done", "An initial sync is done"
    RUN_FAILED = "run_failed", "An initial sync failed"
    DRIFT = "drift", "A comparison found so many differences"
    ANY_ALERT = "any_alert", "Any alert, whatever raised it"


EVENTS = (Measure.RUN_DONE, Measure.RUN_FAILED, Measure.DRIFT, Measure.ANY_ALERT)
"""What happens at a moment; the others are measured again and again."""


class RuleAction(models.TextChoices):
    """What a rule does besides raising an alert."""

    NOTIFY = "notify", "Alert only"
    PAUSE = "pause", "Pause the map"
    STOP = "stop", "Stop the map"


class Digest(models.TextChoices):
    """When messages go out."""

    AT_ONCE = "at_once", "At once"
    HOURLY = "hourly", "Collected, every hour"
    DAILY = "daily", "Collected, once a day"


class AlertRule(models.Model):
    """When to raise an alert, what to do then, and who is told, how often. It counts
    for one map, for all maps of a connection set, or for all; changes take effect at
    once. `recipients` are further mail addresses, separated by commas; people and the
    members of groups get it in their inbox too. Within the cooldown, one subject is
    told about once. In quiet hours messages wait for their end; they may cross
    midnight."""

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
    users = models.ManyToManyField(
        "accounts.User", blank=True, related_name="+", verbose_name="people"
    )
    groups = models.ManyToManyField("auth.Group", blank=True, related_name="+")
    webhooks = models.ManyToManyField(Webhook, blank=True, related_name="rules")
    recipients = models.TextField("other mail addresses", blank=True)
    digest = models.CharField(
        "messages go out",
        max_length=10,
        choices=Digest.choices,
        default=Digest.AT_ONCE,
        db_default=Digest.AT_ONCE.value,
    )
    cooldown_minutes = models.PositiveIntegerField(default=15, db_default=15)
    quiet_from = models.TimeField("quiet hours from", null=True, blank=True)
    quiet_until = models.TimeField("quiet hours until", null=True, blank=True)
    time_zone = models.CharField(
        max_length=60, default="UTC", db_default="UTC", validators=[known_time_zone]
    )
    tell_over = models.BooleanField(
        "tell when it is over", default=True, db_default=True
    )
    enabled = models.BooleanField(default=True)

    objects = ScopedManager()

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
            models.CheckConstraint(
                name="alert_rule_digest_known", condition=Q(digest__in=Digest.values)
            ),
            models.CheckConstraint(
                name="alert_rule_quiet_hours_whole",
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                violation_error_message="Give both ends of the quiet hours, or none.",
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


class RuleTelling(models.Model):
    """When a rule last told about a subject: once in its cooldown."""

    rule = models.ForeignKey(
        AlertRule, on_delete=models.CASCADE, related_name="tellings"
    )
    subject = models.CharField(max_length=300)
    told_at = models.DateTimeField()

    class Meta:
        ordering = ["rule", "subject"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"], name="rule_telling_once_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}"
