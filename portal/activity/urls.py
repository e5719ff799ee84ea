"""Addresses of the activity log."""

from __future__ import annotations

from django.urls import path

from portal.activity import views

urlpatterns = [
    path("activity/", views.activity_list, name="activity_list"),
    path("activity/export.csv", views.export, name="activity_export"),
]
