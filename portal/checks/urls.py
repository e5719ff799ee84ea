"""Addresses of checks in place."""

from __future__ import annotations

from django.urls import path

from portal.checks import views

urlpatterns = [
    path("maps/<int:map_id>/health/check/", views.health, name="map_health"),
    path("maps/run/check/", views.run_check, name="map_run_check"),
]
