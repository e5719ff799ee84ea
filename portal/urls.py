"""Addresses of the portal."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from portal.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", include("portal.accounts.urls")),
    path("admin/", admin.site.urls),
    path("", include("portal.environments.urls")),
    path("", include("portal.synchronous.urls")),
    path("", include("portal.checks.urls")),
    path("", include("portal.sync.urls")),
    path("", include("portal.editor.urls")),
    path("", include("portal.maps.urls")),
    path("", include("portal.runs.urls")),
    path("", include("portal.errors.urls")),
    path("", include("portal.conflicts.urls")),
    path("", include("portal.activity.urls")),
    path("", include("portal.history.urls")),
    path("", include("portal.comparisons.urls")),
    path("", include("portal.approvals.urls")),
    path("", include("portal.mailing.urls")),
    path("", include("portal.alerts.urls")),
    path("", include("portal.operations.urls")),
    path("", include("portal.setup.urls")),
    path("", include("portal.sample.urls")),
    path("", include("portal.overview.urls")),
]

handler400 = "portal.problem_pages.bad_request"
handler403 = "portal.problem_pages.forbidden"
handler404 = "portal.problem_pages.not_found"
handler500 = "portal.problem_pages.server_error"
