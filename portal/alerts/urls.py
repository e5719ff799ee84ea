"""Addresses of the alerts."""

from __future__ import annotations

from django.urls import path

from portal.alerts import views

urlpatterns = [
    path("alerts/", views.alert_list, name="alert_list"),
    path("alerts/mark/", views.mark, name="alert_mark"),
]
