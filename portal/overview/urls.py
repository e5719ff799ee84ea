"""Addresses of the dashboard, the map list and the map page."""

from __future__ import annotations

from django.urls import path

from portal.overview import views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("live/", views.dashboard_live, name="dashboard_live"),
    path("trends/", views.dashboard_trends, name="dashboard_trends"),
    path("maps/", views.map_list, name="map_list"),
    path("maps/live/", views.map_list_live, name="map_list_live"),
    path("maps/<int:map_id>/", views.map_page, name="map_page"),
    path("maps/<int:map_id>/<slug:tab>/", views.map_page, name="map_tab"),
    path("maps/<int:map_id>/<slug:tab>/live/", views.map_live, name="map_live"),
]
