"""Table maps, their versions line by line, and the legs the streams follow."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet, SideChoices
from syncengine.mapping.model import (
    ColumnMapType,
    ConflictPolicy,
    Direction,
    OnError,
    OnFilterExit,
)
from syncengine.ports import LegMode

VERSION = RegexValidator(
    r"^\d{1,9}\.\d{1,9}\.\d{1,9}\.\d{1,9}\Z",
    "A version has four numbers, like 1.0.0.0.",
)


class MapState(models.TextChoices):
    """The states of section 8."""

    NOT_RUNNING = "not_running", "Not running"
    INITIALIZING = "initializing", "Initializing"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    RESUMING = "resuming", "Resuming"


class DirectionChoices(models.TextChoices):
    """The two directions of a map."""

    FINOPS_TO_DATAVERSE = (
        Direction.FINOPS_TO_DATAVERSE.value,
        "Finance and operations to Dataverse",
    )
    DATAVERSE_TO_FINOPS = (
        Direction.DATAVERSE_TO_FINOPS.value,
        "Dataverse to finance and operations",
    )


class ColumnMapTypeChoices(models.TextChoices):
    """The six column map types."""

    BOTH = ColumnMapType.BOTH.value, "= both ways"
    TO_DATAVERSE = ColumnMapType.TO_DATAVERSE.value, "> to Dataverse"
    TO_FINOPS = ColumnMapType.TO_FINOPS.value, "< to finance and operations"
    BOTH_TRANSFORM = ColumnMapType.BOTH_TRANSFORM.value, ">< both ways, transformed"
    TO_DATAVERSE_TRANSFORM = (
        ColumnMapType.TO_DATAVERSE_TRANSFORM.value,
        ">> to Dataverse, transformed",
    )
    TO_FINOPS_TRANSFORM = (
        ColumnMapType.TO_FINOPS_TRANSFORM.value,
        "<< to finance and operations, transformed",
    )


class ConflictPolicyChoices(models.TextChoices):
    """Who wins when both sides changed the same column."""

    LAST_WRITER_WINS = ConflictPolicy.LAST_WRITER_WINS.value, "Last writer wins"
    FINOPS_WINS = ConflictPolicy.FINOPS_WINS.value, "Finance and operations wins"
    DATAVERSE_WINS = ConflictPolicy.DATAVERSE_WINS.value, "Dataverse wins"
    MANUAL = ConflictPolicy.MANUAL.value, "A person decides"


class OnErrorChoices(models.TextChoices):
    """What a refused record holds back."""

    TRANSACTION = OnError.TRANSACTION.value, "Its whole transaction"
    RECORD = OnError.RECORD.value, "Only itself"


class OnFilterExitChoices(models.TextChoices):
    """What happens to a row that stops matching."""

    LEAVE = OnFilterExit.LEAVE.value, "Leave it on the other side"
    DELETE = OnFilterExit.DELETE.value, "Delete it on the other side"


class LegModeChoices(models.TextChoices):
    """What the stream does with changes of one leg."""

    OFF = LegMode.OFF.value, "Off"
    QUEUE = LegMode.QUEUE.value, "Queue"
    DRAIN = LegMode.DRAIN.value, "Drain"
    LIVE = LegMode.LIVE.value, "Live"


class TableMap(models.Model):
    """One table on each side of a connection set, kept in step. `version` is the
    current definition; state and counts belong to the map, not to a version."""

    connection_set = models.ForeignKey(
        ConnectionSet, on_delete=models.PROTECT, related_name="maps"
    )
    name = models.CharField(max_length=200)
    state = models.CharField(
        max_length=15, choices=MapState.choices, default=MapState.NOT_RUNNING
    )
    state_reason = models.TextField(blank=True)
    state_changed_at = models.DateTimeField(null=True, blank=True)
    version = models.ForeignKey(
        "MapVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="current_for",
    )
    rows_synced = models.BigIntegerField(default=0)
    last_change_at = models.DateTimeField(null=True, blank=True)
    run_order = models.IntegerField(default=0)
    reconcile_needed_at = models.DateTimeField(null=True, blank=True)
    reconcile_reason = models.TextField(blank=True, default="", db_default="")
    reconcile_side = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="The side whose changes were lost; empty when it is not one alone.",
    )
    reconcile_tried_at = models.DateTimeField(null=True, blank=True)
    ran_version = models.ForeignKey(
        "MapVersion",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        help_text="The version it last ran with.",
    )
    guard_enabled = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Hold waves of deletes or updates for approval.",
    )
    guard_deletes_percent = models.PositiveSmallIntegerField(default=20, db_default=20)
    guard_updates_percent = models.PositiveSmallIntegerField(default=0, db_default=0)
    guard_rows = models.PositiveIntegerField(default=100, db_default=100)
    guard_window_seconds = models.PositiveIntegerField(default=60, db_default=60)
    history = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Keep what is carried over, record by record.",
    )
    paused_with_set = models.BooleanField(default=False, db_default=False)
    correlation_id = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Of the last action; what its streams do about it bears it too.",
    )

    objects = ScopedManager()

    class Meta:
        ordering = ["connection_set", "run_order", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection_set", "name"], name="table_map_name_once_per_set"
            ),
            models.CheckConstraint(
                name="table_map_state_known", condition=Q(state__in=MapState.values)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MapVersion(models.Model):
    """A definition of a map; never changed once written, only followed by another."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="versions"
    )
    publisher = models.CharField(max_length=100, blank=True)
    version = models.CharField(max_length=40, default="1.0.0.0", validators=[VERSION])
    finops_table = models.CharField(max_length=63)
    dataverse_table = models.CharField(max_length=63)
    finops_filter = models.TextField(blank=True)
    dataverse_filter = models.TextField(blank=True)
    conflict = models.CharField(
        max_length=20,
        choices=ConflictPolicyChoices.choices,
        default=ConflictPolicyChoices.LAST_WRITER_WINS,
    )
    on_error = models.CharField(
        max_length=15,
        choices=OnErrorChoices.choices,
        default=OnErrorChoices.TRANSACTION,
    )
    on_filter_exit = models.CharField(
        max_length=10,
        choices=OnFilterExitChoices.choices,
        default=OnFilterExitChoices.LEAVE,
    )
    examples = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Rows with what the map must make of them.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )

    objects = ScopedManager("table_map__connection_set")

    class Meta:
        ordering = ["table_map", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "publisher", "version"],
                name="map_version_once_per_publisher",
            )
        ]

    def __str__(self) -> str:
        return f"{self.publisher} {self.version}".strip()


class ColumnMap(models.Model):
    """One line of a version. A blank side is the file's `none`."""

    version = models.ForeignKey(
        MapVersion, on_delete=models.CASCADE, related_name="columns"
    )
    position = models.PositiveIntegerField()
    finops = models.CharField(max_length=200, blank=True)
    dataverse = models.CharField(max_length=200, blank=True)
    type = models.CharField(max_length=2, choices=ColumnMapTypeChoices.choices)
    default = models.TextField(null=True, blank=True)  # noqa: DJ001 - '' is a default
    has_values = models.BooleanField(
        default=False, help_text="A value map belongs to this column."
    )
    value_map = models.CharField(
        max_length=100,
        blank=True,
        help_text="The shared value map that the pairs were taken from.",
    )
    sticky = models.BooleanField(
        default=False, help_text="A true is never overwritten by false."
    )
    expression = models.TextField(
        blank=True, help_text="Makes the value from columns of the source."
    )

    class Meta:
        ordering = ["version", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "position"], name="column_map_position_once"
            ),
            models.CheckConstraint(
                name="column_map_has_a_side",
                condition=~Q(finops="", dataverse=""),
                violation_error_message="A column map needs a column on some side.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.finops or 'none'} {self.type} {self.dataverse or 'none'}"


class ValueMap(models.Model):
    """One pair of a column's value map."""

    column_map = models.ForeignKey(
        ColumnMap, on_delete=models.CASCADE, related_name="values"
    )
    position = models.PositiveIntegerField()
    finops_value = models.TextField()
    dataverse_value = models.TextField()

    class Meta:
        ordering = ["column_map", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["column_map", "position"], name="value_map_position_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.finops_value}: {self.dataverse_value}"


class DecisionSource(models.Model):
    """A source column of a line's decision table; a line with any has a table."""

    column_map = models.ForeignKey(
        ColumnMap, on_delete=models.CASCADE, related_name="decision_sources"
    )
    position = models.PositiveSmallIntegerField()
    path = models.CharField(max_length=200)

    class Meta:
        ordering = ["column_map", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["column_map", "position"], name="decision_source_position_once"
            )
        ]

    def __str__(self) -> str:
        return self.path


class DecisionRule(models.Model):
    """One rule of a line's decision table. A guarded one is written over the values
    of the target that it lists only."""

    column_map = models.ForeignKey(
        ColumnMap, on_delete=models.CASCADE, related_name="decision_rules"
    )
    position = models.PositiveIntegerField()
    result = models.TextField(blank=True)
    guarded = models.BooleanField(default=False)

    class Meta:
        ordering = ["column_map", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["column_map", "position"], name="decision_rule_position_once"
            )
        ]

    def __str__(self) -> str:
        return self.result


class DecisionValue(models.Model):
    """A value that a rule asks of a source column, by the source's position; with
    position 0 one of the target. A source of which none is asked may have any."""

    rule = models.ForeignKey(
        DecisionRule, on_delete=models.CASCADE, related_name="values"
    )
    source = models.PositiveSmallIntegerField()
    position = models.PositiveIntegerField()
    value = models.TextField(blank=True)

    class Meta:
        ordering = ["rule", "source", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "source", "position"],
                name="decision_value_position_once",
            )
        ]

    def __str__(self) -> str:
        return self.value


class SharedValueMap(models.Model):
    """Pairs of values under a name, for the columns of any map. What a version took
    from it stays with the version."""

    name = models.CharField(max_length=100, unique=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "value map"

    def __str__(self) -> str:
        return self.name


class SharedValuePair(models.Model):
    """One pair of a shared value map."""

    value_map = models.ForeignKey(
        SharedValueMap, on_delete=models.CASCADE, related_name="pairs"
    )
    position = models.PositiveIntegerField()
    finops_value = models.TextField(blank=True)
    dataverse_value = models.TextField(blank=True)

    class Meta:
        ordering = ["value_map", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["value_map", "position"], name="shared_pair_position_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.finops_value}: {self.dataverse_value}"


class KeyPair(models.Model):
    """One part of the integration key, under its name on each side."""

    version = models.ForeignKey(
        MapVersion, on_delete=models.CASCADE, related_name="key_pairs"
    )
    position = models.PositiveSmallIntegerField()
    finops = models.CharField(max_length=200)
    dataverse = models.CharField(max_length=200)

    class Meta:
        ordering = ["version", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "position"], name="key_pair_position_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.finops} = {self.dataverse}"


class LookupDeclaration(models.Model):
    """A reference the database itself does not declare as a foreign key."""

    version = models.ForeignKey(
        MapVersion, on_delete=models.CASCADE, related_name="lookups"
    )
    side = models.CharField(max_length=10, choices=SideChoices.choices)
    column = models.CharField(max_length=63)
    table = models.CharField(max_length=63)
    reference = models.CharField(max_length=63)

    class Meta:
        ordering = ["version", "side", "column", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "side", "column", "table"],
                name="lookup_once_per_column_and_table",
            )
        ]

    def __str__(self) -> str:
        return f"{self.column} -> {self.table}.{self.reference}"


class Leg(models.Model):
    """One direction of a map as its stream must treat it now
    (`syncengine.ports.LegConfiguration`). Directions the map does not flow in stay
    off. While companies join a map that runs, further legs carry those `companies`
    (FinOps codes) alone; their `scope` is the id of the run that copies them."""

    table_map = models.ForeignKey(
        TableMap, on_delete=models.CASCADE, related_name="legs"
    )
    direction = models.CharField(max_length=20, choices=DirectionChoices.choices)
    mode = models.CharField(
        max_length=5, choices=LegModeChoices.choices, default=LegModeChoices.OFF
    )
    queued_through = models.CharField(max_length=64, blank=True, db_collation="C")
    drain_after = models.CharField(max_length=64, blank=True, db_collation="C")
    fold = models.BooleanField(default=False)
    spooled = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its queue may hold changes that the target has already.",
    )
    set_aside = models.BooleanField(
        default=False, db_default=False, help_text="Changes of it are set aside."
    )
    replay = models.BooleanField(
        default=False, db_default=False, help_text="Those are to be carried over now."
    )
    approved_through = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        db_collation="C",
        help_text="Changes up to here are not held.",
    )
    scope = models.BigIntegerField(default=0, db_default=0)
    companies = models.JSONField(default=list, db_default=[], blank=True)

    class Meta:
        ordering = ["table_map", "direction", "scope"]
        constraints = [
            models.UniqueConstraint(
                fields=["table_map", "direction", "scope"],
                name="leg_once_per_direction_and_scope",
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_map} {self.direction}"
