"""Addresses of the wizard."""

from __future__ import annotations

from django.urls import path

from portal.setup import job_views, stamp_views, views

urlpatterns = [
    path("setup/", views.setup_list, name="setup_list"),
    path("setup/begin/", views.setup_begin, name="setup_begin"),
    path("setup/sample/", job_views.setup_sample, name="setup_sample"),
    path("setup/needs/", views.setup_needs, name="setup_needs"),
    path("setup/<int:pk>/check/now/", views.setup_check, name="setup_check"),
    path("setup/<int:pk>/agree/", job_views.setup_agree, name="setup_agree"),
    path("setup/<int:pk>/progress/", job_views.setup_progress, name="setup_progress"),
    path("setup/<int:pk>/progress/live/", job_views.setup_live, name="setup_live"),
    path("setup/<int:pk>/again/", job_views.setup_again, name="setup_again"),
    path("setup/<int:pk>/undo/", job_views.setup_undo, name="setup_undo"),
    path("setup/<int:pk>/stamp/", stamp_views.setup_stamp, name="setup_stamp"),
    path(
        "setup/<int:pk>/stamp/<int:job_id>/",
        stamp_views.setup_stamping,
        name="setup_stamping",
    ),
    path(
        "setup/<int:pk>/stamp/<int:job_id>/live/",
        stamp_views.setup_stamping_live,
        name="setup_stamping_live",
    ),
    path(
        "setup/<int:pk>/stamp/<int:job_id>/cancel/",
        stamp_views.setup_stamping_cancel,
        name="setup_stamping_cancel",
    ),
    path("setup/<int:pk>/discard/", job_views.setup_discard, name="setup_discard"),
    path("setup/<int:pk>/test/<slug:side>/", views.setup_test, name="setup_test"),
    path("setup/<int:pk>/<slug:step>/", views.setup_step, name="setup_step"),
    path(
        "environments/<int:pk>/clean/",
        job_views.environment_clean,
        name="environment_clean",
    ),
    path(
        "connection-sets/<int:pk>/relink/",
        job_views.connection_set_relink,
        name="connection_set_relink",
    ),
]
