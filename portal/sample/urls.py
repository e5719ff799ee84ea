"""Addresses about the sample companies."""

from __future__ import annotations

from django.urls import path

from portal.sample import views

urlpatterns = [path("sample/", views.sample_change, name="sample_change")]
