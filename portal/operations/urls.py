"""Addresses of health, metrics and the system page."""

from __future__ import annotations

from django.urls import path

from portal.operations import views

urlpatterns = [
    path("health/live", views.live, name="health_live"),
    path("health/ready", views.ready, name="health_ready"),
    path("metrics", views.prometheus, name="metrics"),
    path("system/", views.system, name="system"),
]
