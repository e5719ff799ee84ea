"""A link that is being set up: what was chosen so far, and the job that makes it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from portal.environments.models import (
    NAME,
    ConnectionSet,
    Environment,
    SideChoices,
    new_link_id,
)
from syncengine.mapping.model import HealthFinding, Severity, Side


class Situation(models.TextChoices):
    """How both systems are when they are linked."""

    NEW_NEW = "new-new", "A new ERP and a new CRM"
    NEW_EXISTING = "new-existing", "A new ERP and a CRM in use"
    FILLED_NEW = "filled-new", "A new ERP with data and a new CRM"
    FILLED_EXISTING = "filled-existing", "A new ERP with data and a CRM in use"
    EXISTING_NEW = "existing-new", "An ERP in use and a new CRM"
    EXISTING_EXISTING = "existing-existing", "An ERP in use and a CRM in use"


class DraftState(models.TextChoices):
    """Where a draft stands."""

    EDITING = "editing", "Draft"
    CREATING = "creating", "Being created"
    FAILED = "failed", "Needs you"
    DONE = "done", "Created"


class SetupDraft(models.Model):
    """What the wizard knows so far. `link_id` is settled from the start, so that the
    summary can name what will be made. `checked_at` is empty when something changed
    since the last check."""

    name = models.CharField(max_length=100, validators=[NAME])
    situation = models.CharField(
        max_length=20,
        choices=Situation.choices,
        default=Situation.EXISTING_EXISTING,
    )
    sample = models.BooleanField(default=False, editable=False)
    step = models.CharField(max_length=12, default="start", editable=False)
    finops = models.ForeignKey(
        Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    dataverse = models.ForeignKey(
        Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    link_id = models.CharField(
        max_length=40, unique=True, default=new_link_id, editable=False
    )
    companies_settled = models.BooleanField(default=False, editable=False)
    maps_settled = models.BooleanField(default=False, editable=False)
    state = models.CharField(
        max_length=10, choices=DraftState.choices, default=DraftState.EDITING
    )
    checked_at = models.DateTimeField(null=True, editable=False)
    findings = models.JSONField(default=list, editable=False)
    passed = models.BooleanField(default=False, editable=False)
    homeless = models.PositiveBigIntegerField(
        null=True,
        editable=False,
        help_text="Records of the CRM's chosen tables that have no company.",
    )
    consent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    consent_at = models.DateTimeField(null=True, editable=False)
    connection_set = models.ForeignKey(
        ConnectionSet,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.CheckConstraint(
                name="setup_state_known", condition=Q(state__in=DraftState.values)
            ),
            models.CheckConstraint(
                name="setup_situation_known",
                condition=Q(situation__in=Situation.values),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def environment(self, side: Side | str) -> Environment | None:
        """The environment chosen for `side`, if one is."""
        return self.finops if Side(side) is Side.FINOPS else self.dataverse

    @property
    def both(self) -> bool:
        """True when both environments are chosen."""
        return self.finops_id is not None and self.dataverse_id is not None

    def shown_findings(self) -> list[tuple[str, HealthFinding]]:
        """What the last check found: the map's name, or none, and the finding."""
        return [
            (
                one["map"],
                HealthFinding(
                    **{
                        **{key: one[key] for key in one if key != "map"},
                        "severity": Severity(one["severity"]),
                    }
                ),
            )
            for one in self.findings
        ]


class DraftCompany(models.Model):
    """A company of the ERP, and which one of the CRM it is. Without a code on one
    side it cannot be chosen."""

    draft = models.ForeignKey(
        SetupDraft, on_delete=models.CASCADE, related_name="companies"
    )
    finops_code = models.CharField(max_length=60)
    dataverse_code = models.CharField(max_length=60, blank=True)
    chosen = models.BooleanField(default=False)

    class Meta:
        ordering = ["finops_code"]
        constraints = [
            models.UniqueConstraint(
                fields=["draft", "finops_code"], name="draft_company_once"
            ),
            models.CheckConstraint(
                name="draft_company_chosen_whole",
                condition=Q(chosen=False) | ~Q(dataverse_code=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.finops_code} / {self.dataverse_code or '-'}"


class DraftMap(models.Model):
    """A ready-made map that was chosen, in the order in which rows are copied."""

    draft = models.ForeignKey(SetupDraft, on_delete=models.CASCADE, related_name="maps")
    name = models.CharField(max_length=200)
    position = models.PositiveIntegerField()
    copies = models.BooleanField(default=True)
    master = models.CharField(max_length=10, choices=SideChoices.choices)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["draft", "name"], name="draft_map_once")
        ]

    def __str__(self) -> str:
        return self.name


class StepState(models.TextChoices):
    """How a step of the job stands."""

    WAITING = "waiting", "Waiting"
    WORKING = "working", "At work"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class SetupStep(models.Model):
    """A step of the job that makes the link. Each may be done twice: a worker that
    dies within one leaves it to the next."""

    draft = models.ForeignKey(
        SetupDraft, on_delete=models.CASCADE, related_name="steps"
    )
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    state = models.CharField(
        max_length=10, choices=StepState.choices, default=StepState.WAITING
    )
    message = models.TextField(blank=True)
    script = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["draft", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["draft", "number"], name="setup_step_number_once"
            ),
            models.CheckConstraint(
                name="setup_step_state_known", condition=Q(state__in=StepState.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.draft}: {self.title}"


class StampingState(models.TextChoices):
    """How a job that gives records a company stands."""

    WAITING = "waiting", "Waiting"
    WORKING = "working", "At work"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"


ACTIVE_STAMPINGS = (StampingState.WAITING, StampingState.WORKING)


class Stamping(models.Model):
    """A job that gives records of the CRM a company that have none. `wanted` is how
    many it were at first, up to a million, `rows` how many have it by now."""

    draft = models.ForeignKey(
        SetupDraft, on_delete=models.CASCADE, related_name="stampings"
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+"
    )
    table = models.CharField(max_length=200)
    company = models.CharField(max_length=60)
    state = models.CharField(
        max_length=10, choices=StampingState.choices, default=StampingState.WAITING
    )
    wanted = models.PositiveBigIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    message = models.TextField(blank=True)
    code = models.CharField(max_length=60, blank=True)
    cancel_requested = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="setup_stamping_state_known",
                condition=Q(state__in=StampingState.values),
            ),
            models.UniqueConstraint(
                fields=["draft"],
                condition=Q(state__in=("waiting", "working")),
                name="setup_one_stamping_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.company} for {self.table}"

    @property
    def active(self) -> bool:
        """True until it is over."""
        return self.state in ACTIVE_STAMPINGS
