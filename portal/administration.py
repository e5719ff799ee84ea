"""What the admin pages of rows share: runtime rows are for reading only."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin, TabularInline

from portal.pages import COUNT_LIMIT


class ShortPaginator(Paginator):
    """Counts no further than the limit: a list of millions opens at once, and what
    lies deeper is found by filter and search."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Model] = self.object_list
        return rows.order_by()[:COUNT_LIMIT].count()


class ReadOnlyAdmin(ModelAdmin):
    """Rows the system writes: shown, never added, changed or deleted here."""

    list_per_page = 50
    ordering = ("-id",)
    paginator = ShortPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class ReadOnlyInline(TabularInline):
    """Lines of a read-only row."""

    extra = 0
    can_delete = False
    tab = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
