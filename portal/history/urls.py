"""Addresses of the pages about records."""

from __future__ import annotations

from django.urls import path

from portal.history import views

urlpatterns = [
    path("records/", views.record_page, name="record_page"),
    path("records/fields/", views.record_fields, name="record_fields"),
    path("records/asked/", views.record_asked, name="record_asked"),
    path("records/history/", views.history_switch, name="history_switch"),
]
