"""Addresses of the map actions."""

from __future__ import annotations

from django.urls import path

from portal.maps import (
    file_views,
    ready_made_views,
    value_map_views,
    version_views,
    views,
)

urlpatterns = [
    path("maps/run/", views.confirm_run, name="map_run"),
    path("maps/stop/", views.confirm_stop, name="map_stop"),
    path("maps/<int:pk>/delete/", views.delete, name="map_delete"),
    path(
        "maps/<int:map_id>/versions/<int:pk>/use/",
        version_views.use,
        name="version_use",
    ),
    path("maps/import/", file_views.map_import, name="map_import"),
    path("maps/export/", file_views.map_export, name="map_export"),
    path("maps/download/", file_views.map_download, name="map_download"),
    path("maps/actions/", views.act, name="map_action"),
    path("value-maps/", value_map_views.value_map_list_page, name="value_map_list"),
    path("value-maps/new/", value_map_views.value_map_new, name="value_map_new"),
    path("value-maps/take/", value_map_views.value_map_take, name="value_map_take"),
    path("value-maps/<int:pk>/", value_map_views.value_map_page, name="value_map_page"),
    path(
        "value-maps/<int:pk>/delete/",
        value_map_views.value_map_delete,
        name="value_map_delete",
    ),
    path("ready-made/", ready_made_views.ready_made_list_page, name="ready_made_list"),
    path(
        "ready-made/install/",
        ready_made_views.ready_made_install,
        name="ready_made_install",
    ),
    path(
        "ready-made/<slug:name>/",
        ready_made_views.ready_made_page,
        name="ready_made_page",
    ),
]
