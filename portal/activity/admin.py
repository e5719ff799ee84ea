"""The activity log, for reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from portal.activity.models import SUBJECT, ActivityEvent
from portal.activity.queries import SUBJECTS
from portal.administration import ReadOnlyAdmin


class SubjectFilter(admin.SimpleListFilter):
    """By what an event is about; the kinds themselves are not looked for in the log."""

    title = "about"
    parameter_name = "about"

    def lookups(
        self, request: HttpRequest, model_admin: Any
    ) -> Sequence[tuple[str, str]]:
        return SUBJECTS

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ActivityEvent]
    ) -> QuerySet[ActivityEvent]:
        chosen = self.value()
        return (
            queryset.alias(subject=SUBJECT).filter(subject=chosen)
            if chosen
            else queryset
        )


@admin.register(ActivityEvent)
class ActivityEventAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ("created_at", "user", "kind", "message", "connection_set")
    list_filter = (SubjectFilter,)
    list_select_related = ("user", "connection_set")
    search_fields = ("message", "correlation_id")
