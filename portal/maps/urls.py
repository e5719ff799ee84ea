"""Addresses of the map actions."""

from __future__ import annotations

from django.urls import path

from portal.maps import views

urlpatterns = [
    path("maps/run/", views.confirm_run, name="map_run"),
    path("maps/stop/", views.confirm_stop, name="map_stop"),
    path("maps/<int:pk>/delete/", views.delete, name="map_delete"),
    path("maps/actions/", views.act, name="map_action"),
]
