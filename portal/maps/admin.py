"""Maps and their versions, for reading; maps change through pages and files."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action
from unfold.enums import ActionVariant

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.maps.models import (
    ColumnMap,
    DecisionRule,
    DecisionSource,
    DecisionValue,
    KeyPair,
    Leg,
    LookupDeclaration,
    MapVersion,
    SharedValueMap,
    SharedValuePair,
    TableMap,
    ValueMap,
)


class LegInline(ReadOnlyInline):
    """What the streams do with the map."""

    model = Leg


class VersionInline(ReadOnlyInline):
    """The map's versions."""

    model = MapVersion
    fk_name = "table_map"
    fields = readonly_fields = ("publisher", "version", "created_at", "created_by")
    show_change_link = True


@admin.register(TableMap)
class TableMapAdmin(ReadOnlyAdmin):
    """Maps with their state."""

    list_display = ("name", "connection_set", "state", "version", "rows_synced")
    list_filter = ("state", "connection_set")
    list_select_related = ("connection_set", "version")
    search_fields = ("name",)
    inlines = (VersionInline, LegInline)
    actions_detail = ("delete_map",)

    @action(
        description="Delete",
        url_path="remove",
        permissions=["remove"],
        variant=ActionVariant.DANGER,
    )
    def delete_map(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks for the name."""
        return redirect("map_delete", pk=object_id)

    def has_remove_permission(
        self, request: HttpRequest, object_id: str | None = None
    ) -> bool:
        """Who sees the button; the page asks again."""
        return bool(request.user.has_perm("maps.delete_tablemap"))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: object = None
    ) -> HttpResponse:
        """The admin's own way of deleting leads there too."""
        return redirect("map_delete", pk=object_id)


class KeyPairInline(ReadOnlyInline):
    """The integration key."""

    model = KeyPair


class ColumnMapInline(ReadOnlyInline):
    """The lines."""

    model = ColumnMap
    show_change_link = True


class LookupInline(ReadOnlyInline):
    """Declared lookups."""

    model = LookupDeclaration


@admin.register(MapVersion)
class MapVersionAdmin(ReadOnlyAdmin):
    """Definitions."""

    list_display = ("table_map", "publisher", "version", "created_at", "created_by")
    list_select_related = ("table_map", "created_by")
    search_fields = ("table_map__name", "publisher", "version")
    inlines = (KeyPairInline, ColumnMapInline, LookupInline)


class ValueMapInline(ReadOnlyInline):
    """The value map."""

    model = ValueMap


class DecisionSourceInline(ReadOnlyInline):
    """The source columns of the decision table."""

    model = DecisionSource


class DecisionRuleInline(ReadOnlyInline):
    """The rules of the decision table."""

    model = DecisionRule
    show_change_link = True


@admin.register(ColumnMap)
class ColumnMapAdmin(ReadOnlyAdmin):
    """One line with its value map and its decision table."""

    list_display = ("version", "position", "finops", "type", "dataverse", "default")
    list_select_related = ("version",)
    inlines = (ValueMapInline, DecisionSourceInline, DecisionRuleInline)


class DecisionValueInline(ReadOnlyInline):
    """What the rule asks of the columns."""

    model = DecisionValue


@admin.register(DecisionRule)
class DecisionRuleAdmin(ReadOnlyAdmin):
    """One rule with the values it asks for."""

    list_display = ("column_map", "position", "result", "guarded")
    list_select_related = ("column_map",)
    inlines = (DecisionValueInline,)


class SharedValuePairInline(ReadOnlyInline):
    """Its pairs."""

    model = SharedValuePair


@admin.register(SharedValueMap)
class SharedValueMapAdmin(ReadOnlyAdmin):
    """Shared value maps, for reading; their page changes them."""

    list_display = ("name", "changed_at")
    search_fields = ("name",)
    inlines = (SharedValuePairInline,)
