"""Addresses of the map actions."""

from __future__ import annotations

from django.urls import path

from portal.maps import file_views, ready_made_views, version_views, views

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
