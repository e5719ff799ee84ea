"""Addresses of the error pages."""

from __future__ import annotations

from django.urls import path

from portal.errors import cause_views, record_views, views

urlpatterns = [
    path("errors/", views.error_list, name="error_list"),
    path("errors/live/", views.error_live, name="error_live"),
    path("errors/retry/", views.retry, name="error_retry"),
    path("errors/dismiss/", views.dismiss, name="error_dismiss"),
    path("errors/export.csv", views.export, name="error_export"),
    path("errors/causes/", cause_views.cause_list, name="cause_list"),
    path("errors/causes/<int:cause_id>/", cause_views.cause_page, name="cause_page"),
    path(
        "errors/causes/<int:cause_id>/assign/",
        cause_views.cause_assign,
        name="cause_assign",
    ),
    path(
        "errors/causes/<int:cause_id>/comment/",
        cause_views.cause_comment,
        name="cause_comment",
    ),
    path("errors/<int:error_id>/", record_views.error_page, name="error_page"),
    path("errors/<int:error_id>/rows/", record_views.error_rows, name="error_rows"),
    path("errors/<int:error_id>/mend/", record_views.error_mend, name="error_mend"),
]
