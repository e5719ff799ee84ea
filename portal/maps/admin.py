"""Maps and their versions, for reading; maps change through pages and files."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.maps.models import (
    ColumnMap,
    KeyPair,
    Leg,
    LookupDeclaration,
    MapVersion,
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


@admin.register(ColumnMap)
class ColumnMapAdmin(ReadOnlyAdmin):
    """One line with its value map."""

    list_display = ("version", "position", "finops", "type", "dataverse", "default")
    list_select_related = ("version",)
    inlines = (ValueMapInline,)
