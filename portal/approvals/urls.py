"""Addresses of the approvals."""

from __future__ import annotations

from django.urls import path

from portal.approvals import views

urlpatterns = [
    path("approvals/", views.approval_list, name="approval_list"),
    path("approvals/<int:approval_id>/", views.approval_page, name="approval_page"),
    path(
        "approvals/<int:approval_id>/decide/",
        views.decide,
        name="approval_decide",
    ),
    path("maps/<int:map_id>/guard/", views.change_guard, name="map_guard"),
]
