"""Addresses of the conflict pages."""

from __future__ import annotations

from django.urls import path

from portal.conflicts import views

urlpatterns = [
    path("conflicts/", views.conflict_list, name="conflict_list"),
    path("conflicts/use/", views.use_many, name="conflict_use_many"),
    path("conflicts/export.csv", views.export, name="conflict_export"),
    path("conflicts/<int:conflict_id>/", views.conflict_page, name="conflict_page"),
    path("conflicts/<int:conflict_id>/use/", views.use, name="conflict_use"),
]
