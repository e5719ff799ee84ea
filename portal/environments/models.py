"""Environments, the connection sets that link two of them, and their companies."""

from __future__ import annotations

import secrets

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from portal.accounts.scope import ScopedManager
from portal.fields import EncryptedTextField
from syncengine.mapping.model import LegalEntityPair, Side

NAME = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z",
    "Use letters, digits, '.', '-' and '_', beginning with a letter or digit.",
)


def new_link_id() -> str:
    """The link's name inside the customers' databases: short, safe as identifier."""
    return f"dw{secrets.token_hex(6)}"


class SideChoices(models.TextChoices):
    """The two sides of a connection set."""

    FINOPS = Side.FINOPS.value, "Finance and operations"
    DATAVERSE = Side.DATAVERSE.value, "Dataverse"


class Environment(models.Model):
    """One business system and how to reach it."""

    name = models.CharField(max_length=100, unique=True, validators=[NAME])
    role = models.CharField(max_length=10, choices=SideChoices.choices)
    connector = models.CharField(max_length=40, default="postgres")
    dsn = EncryptedTextField(
        "connection string", help_text="Kept encrypted; never shown again."
    )
    schema = models.CharField(max_length=63, default="public")
    company_column = models.CharField(max_length=63, blank=True)
    company_lookup_table = models.CharField(max_length=63, blank=True)
    company_lookup_column = models.CharField(max_length=63, blank=True)
    company_also = models.CharField(
        "other company columns",
        max_length=500,
        blank=True,
        help_text="Names that the company's column has in some tables instead, "
        "separated by commas.",
    )
    product = models.CharField(max_length=100, blank=True, editable=False)
    product_version = models.CharField(max_length=100, blank=True, editable=False)
    fingerprint = models.CharField(max_length=200, blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    local_commits = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Our own commits there wait for no other system (synchronous mode).",
    )

    objects = ScopedManager("finops_set", "dataverse_set")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="environment_role_known",
                condition=Q(role__in=SideChoices.values),
            ),
            models.CheckConstraint(
                name="environment_company_lookup_whole",
                condition=(
                    Q(company_lookup_table="", company_lookup_column="")
                    | ~Q(company_column="")
                    & ~Q(company_lookup_table="")
                    & ~Q(company_lookup_column="")
                ),
                violation_error_message=(
                    "A company lookup needs the column, the table and its column."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def side(self) -> Side:
        """The side this environment can take."""
        return Side(self.role)


class QueuePolicy(models.TextChoices):
    """What happens when the queue of a map passes its limits."""

    WARN = "warn", "Warn only"
    STOP = "stop", "Save the queue as a file and stop the map"


class AfterGap(models.TextChoices):
    """What happens after changes of a source were lost to a stream."""

    COMPARE = "compare", "Compare the maps"
    REPAIR = "repair", "Compare, and repair from the source that lost them"
    LEAVE = "leave", "Leave it to an administrator"


GIB = 1024**3


class ConnectionSet(models.Model):
    """The link: exactly one FinOps and one Dataverse environment.

    `revision` rises with every change the streams must notice; they poll it.
    """

    name = models.CharField(max_length=100, unique=True, validators=[NAME])
    finops = models.OneToOneField(
        Environment, on_delete=models.PROTECT, related_name="finops_set"
    )
    dataverse = models.OneToOneField(
        Environment, on_delete=models.PROTECT, related_name="dataverse_set"
    )
    link_id = models.CharField(
        max_length=40, unique=True, default=new_link_id, editable=False
    )
    revision = models.BigIntegerField(default=1, editable=False)
    retired_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Set while the link is being undone: its streams end, no map starts.",
    )
    paused_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Set while the whole set is paused for maintenance.",
    )
    queue_warn_minutes = models.PositiveIntegerField(
        "queue limit, minutes",
        default=1440,
        db_default=1440,
        help_text="Warn when a map's oldest queued change is older.",
    )
    queue_warn_bytes = models.BigIntegerField(
        "queue limit, bytes",
        default=GIB,
        db_default=GIB,
        help_text="Warn when a map's queued changes are larger.",
    )
    queue_policy = models.CharField(
        "beyond the queue limits",
        max_length=10,
        choices=QueuePolicy.choices,
        default=QueuePolicy.WARN,
        db_default=QueuePolicy.WARN,
    )
    spool_after_seconds = models.PositiveIntegerField(
        "spool after, seconds",
        default=600,
        db_default=600,
        help_text="When the other side has not answered for so long, changes go into "
        "the portal's queue, so that their source need not keep its log.",
    )
    spool_bytes = models.BigIntegerField(
        "spool beyond, bytes",
        default=GIB,
        db_default=GIB,
        help_text="Spool earlier, when the other side does not answer and the source "
        "keeps more log.",
    )
    log_limit_bytes = models.BigIntegerField(
        "log limit, bytes",
        default=10 * GIB,
        db_default=10 * GIB,
        help_text="Beyond this the source is released: it may forget the log, and the "
        "maps must be compared.",
    )
    after_gap = models.CharField(
        "after a gap",
        max_length=10,
        choices=AfterGap.choices,
        default=AfterGap.COMPARE,
        db_default=AfterGap.COMPARE,
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager("pk")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="connection_set_two_environments",
                condition=~Q(finops=F("dataverse")),
                violation_error_message="Link two different environments.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def environment(self, side: Side | str) -> Environment:
        """The environment on `side`."""
        return self.finops if Side(side) is Side.FINOPS else self.dataverse

    def legal_entity_pairs(self) -> tuple[LegalEntityPair, ...]:
        """The linked companies as the engine takes them."""
        return tuple(
            LegalEntityPair(finops=entity.finops_code, dataverse=entity.dataverse_code)
            for entity in self.legal_entities.all()
        )


class LegalEntity(models.Model):
    """A company that takes part, under its code on each side."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="legal_entities"
    )
    finops_code = models.CharField(max_length=60)
    dataverse_code = models.CharField(max_length=60)

    objects = ScopedManager()

    class Meta:
        verbose_name_plural = "legal entities"
        ordering = ["finops_code"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set", "finops_code"],
                name="legal_entity_finops_once",
            ),
            models.UniqueConstraint(
                fields=["connection_set", "dataverse_code"],
                name="legal_entity_dataverse_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.finops_code} / {self.dataverse_code}"


class Access(models.Model):
    """A part of what a limited user may see: a whole connection set, or one company of
    it under its code on each side."""

    user = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="accesses"
    )
    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="accesses"
    )
    finops_company = models.CharField(max_length=60, blank=True)
    dataverse_company = models.CharField(max_length=60, blank=True)

    class Meta:
        verbose_name_plural = "accesses"
        ordering = ["user", "connection_set", "finops_company"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connection_set", "finops_company"],
                name="access_once_per_company",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.connection_set} {self.finops_company}".rstrip()


class StreamState(models.TextChoices):
    """What a stream is doing."""

    STOPPED = "stopped", "Stopped"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    RETRYING = "retrying", "Retrying"
    SPOOLING = "spooling", "Spooling"
    DOWN = "down", "Down"


class Stream(models.Model):
    """The pulse of one change stream: one per connection set and source side."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.CASCADE, related_name="streams"
    )
    source = models.CharField(max_length=10, choices=SideChoices.choices)
    state = models.CharField(
        max_length=10, choices=StreamState.choices, default=StreamState.STOPPED
    )
    message = models.TextField(blank=True)
    position = models.CharField(max_length=64, blank=True)
    lag_seconds = models.FloatField(null=True, blank=True)
    lag_bytes = models.BigIntegerField(null=True, blank=True)
    retained_bytes = models.BigIntegerField(null=True, blank=True)
    confirmed_position = models.CharField(
        max_length=64, blank=True, default="", db_default="", db_collation="C"
    )
    running_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker took it up."
    )
    canary_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the last sign of life went through to the other side.",
    )
    canary_seconds = models.FloatField(
        null=True, blank=True, help_text="How long that took."
    )
    canary_problem = models.TextField(
        blank=True, default="", db_default="", help_text="Why none can be sent."
    )
    doubtful = models.JSONField(
        null=True,
        blank=True,
        help_text="Records that differed when last looked at, as map and key.",
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    acknowledged_revision = models.BigIntegerField(default=0)
    acknowledged_position = models.CharField(max_length=64, blank=True)
    last_change_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedManager()

    class Meta:
        ordering = ["connection_set", "source"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set", "source"], name="stream_once_per_source"
            )
        ]

    def __str__(self) -> str:
        return f"{self.connection_set} from {self.source}"


class IntegrationKey(models.Model):
    """The natural key of a table where an administrator chose another than found."""

    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="integration_keys"
    )
    table = models.CharField(max_length=63)

    class Meta:
        ordering = ["environment", "table"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "table"], name="integration_key_once_per_table"
            )
        ]

    def __str__(self) -> str:
        return f"{self.environment}: {self.table}"


class IntegrationKeyColumn(models.Model):
    """One column path of an integration key."""

    key = models.ForeignKey(
        IntegrationKey, on_delete=models.CASCADE, related_name="columns"
    )
    position = models.PositiveSmallIntegerField()
    column = models.CharField(max_length=200)

    class Meta:
        ordering = ["key", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "position"], name="integration_key_column_position_once"
            ),
            models.UniqueConstraint(
                fields=["key", "column"], name="integration_key_column_once"
            ),
        ]

    def __str__(self) -> str:
        return self.column
