"""Addresses of queues."""

from __future__ import annotations

from django.urls import path

from portal.sync import queue_views

urlpatterns = [
    path("maps/resume/", queue_views.ask_resume, name="map_resume"),
    path("maps/resume/do/", queue_views.resume, name="map_resume_do"),
    path("maps/pause/", queue_views.ask_pause, name="map_pause"),
    path(
        "maps/<int:map_id>/files/<slug:which>.<slug:kind>",
        queue_views.export,
        name="queue_export",
    ),
    path("saved-queues/<int:pk>.<slug:kind>", queue_views.saved, name="saved_queue"),
    path("maps/<int:map_id>/set-aside/do/", queue_views.set_aside, name="set_aside"),
    path("connection-sets/<int:pk>/pause/", queue_views.set_action, name="set_action"),
]
