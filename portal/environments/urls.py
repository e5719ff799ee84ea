"""Addresses of checks, unlinking and forgetting."""

from __future__ import annotations

from django.urls import path

from portal.environments import limit_views, views

urlpatterns = [
    path(
        "environments/<int:pk>/check/",
        views.check_environment,
        name="environment_check",
    ),
    path(
        "environments/<int:pk>/delete/",
        views.delete_environment,
        name="environment_delete",
    ),
    path(
        "connection-sets/<int:pk>/check/", views.check_set, name="connection_set_check"
    ),
    path(
        "connection-sets/<int:pk>/unlink/", views.unlink, name="connection_set_unlink"
    ),
    path(
        "connection-sets/<int:pk>/limits/",
        limit_views.limits,
        name="connection_set_limits",
    ),
]
