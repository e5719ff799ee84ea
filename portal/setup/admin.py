"""Drafts of links, for reading: the wizard changes them."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.setup.models import (
    DraftCompany,
    DraftMap,
    SetupDraft,
    SetupStep,
    Stamping,
)


class CompanyInline(ReadOnlyInline):
    """Companies that were matched."""

    model = DraftCompany


class MapInline(ReadOnlyInline):
    """Maps that were chosen."""

    model = DraftMap


class StepInline(ReadOnlyInline):
    """What the job has done."""

    model = SetupStep


class StampingInline(ReadOnlyInline):
    """Jobs that gave records a company."""

    model = Stamping


@admin.register(SetupDraft)
class SetupDraftAdmin(ReadOnlyAdmin):
    """Drafts, newest first."""

    list_display = ("name", "situation", "state", "finops", "dataverse", "updated_at")
    list_filter = ("state",)
    list_select_related = ("finops", "dataverse")
    inlines = (CompanyInline, MapInline, StepInline, StampingInline)
