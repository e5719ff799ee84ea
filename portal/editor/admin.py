"""Drafts of maps, for reading; they change in the editor."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.editor.models import DraftStep, MapDraft


@admin.register(MapDraft)
class MapDraftAdmin(ReadOnlyAdmin):
    """Who writes which map's next version."""

    list_display = ("table_map", "user", "base", "begun_at", "changed_at")
    list_select_related = ("table_map", "user", "base")


@admin.register(DraftStep)
class DraftStepAdmin(ReadOnlyAdmin):
    """What can be undone."""

    list_display = ("draft", "subject", "made_at")
    list_select_related = ("draft__table_map",)
