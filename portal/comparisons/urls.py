"""Addresses of the comparisons."""

from __future__ import annotations

from django.urls import path

from portal.comparisons import views

urlpatterns = [
    path("maps/<int:map_id>/compare/start/", views.start, name="comparison_start"),
    path(
        "maps/<int:map_id>/compare/schedule/",
        views.schedule,
        name="comparison_schedule",
    ),
    path(
        "comparisons/<int:comparison_id>/",
        views.comparison_page,
        name="comparison_page",
    ),
    path(
        "comparisons/<int:comparison_id>/live/",
        views.comparison_live,
        name="comparison_live",
    ),
    path(
        "comparisons/<int:comparison_id>/cancel/",
        views.cancel,
        name="comparison_cancel",
    ),
    path(
        "comparisons/<int:comparison_id>/repair/",
        views.repair,
        name="comparison_repair",
    ),
    path(
        "comparisons/<int:comparison_id>/differences.csv",
        views.export,
        name="comparison_export",
    ),
]
