"""Initial sync runs, for reading."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.runs.models import Chunk, InitialSyncRun, LegRun


class LegRunInline(ReadOnlyInline):
    """The legs of a run."""

    model = LegRun
    show_change_link = True


@admin.register(InitialSyncRun)
class InitialSyncRunAdmin(ReadOnlyAdmin):
    """Runs, newest first."""

    list_display = ("id", "table_map", "master", "state", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("table_map",)
    inlines = (LegRunInline,)


class ChunkInline(ReadOnlyInline):
    """The chunks of a leg."""

    model = Chunk


@admin.register(LegRun)
class LegRunAdmin(ReadOnlyAdmin):
    """Legs of runs."""

    list_display = ("run", "direction", "legal_entity", "state", "exported", "failed")
    list_select_related = ("run__table_map",)
    inlines = (ChunkInline,)
