"""Addresses of synchronous mode."""

from __future__ import annotations

from django.urls import path

from portal.synchronous import views

urlpatterns = [
    path(
        "connection-sets/<int:pk>/synchronous/",
        views.synchronous_mode,
        name="connection_set_synchronous",
    )
]
