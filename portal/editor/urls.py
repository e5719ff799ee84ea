"""Addresses of the map editor."""

from __future__ import annotations

from django.urls import path

from portal.editor import decision_views, example_views, part_views, views

_MAP = "maps/<int:map_id>/edit/"

urlpatterns = [
    path(_MAP, views.columns, name="map_edit"),
    path(f"{_MAP}begin/", views.begin, name="map_edit_begin"),
    path(f"{_MAP}take-over/", views.take_over, name="map_edit_take_over"),
    path(f"{_MAP}discard/", views.discard, name="map_edit_discard"),
    path(f"{_MAP}undo/", views.undo, name="map_edit_undo"),
    path(f"{_MAP}tables/", views.read_tables, name="map_edit_tables"),
    path(f"{_MAP}publish/", part_views.publish, name="map_edit_publish"),
    path(f"{_MAP}lines/", views.line_add, name="map_edit_add"),
    path(f"{_MAP}lines/<int:line_id>/", views.line_change, name="map_edit_line"),
    path(
        f"{_MAP}lines/<int:line_id>/remove/",
        views.line_remove,
        name="map_edit_remove",
    ),
    path(f"{_MAP}lines/<int:line_id>/move/", views.line_move, name="map_edit_move"),
    path(f"{_MAP}lines/<int:line_id>/panel/", views.line_panel, name="map_edit_panel"),
    path(f"{_MAP}lines/<int:line_id>/rule/", views.line_rule, name="map_edit_rule"),
    path(
        f"{_MAP}lines/<int:line_id>/decision/",
        decision_views.line_decision,
        name="map_edit_decision",
    ),
    path(
        f"{_MAP}lines/<int:line_id>/lookup/",
        views.line_lookup,
        name="map_edit_lookup",
    ),
    path(f"{_MAP}filters/keep/", part_views.filters_change, name="map_edit_filters"),
    path(f"{_MAP}filters/rows/", part_views.filters_tried, name="map_edit_rows"),
    path(f"{_MAP}settings/keep/", part_views.settings_change, name="map_edit_settings"),
    path(f"{_MAP}try/run/", part_views.try_run, name="map_edit_try"),
    path(f"{_MAP}examples/keep/", example_views.change, name="map_edit_examples"),
    path(f"{_MAP}text/take/", part_views.text_change, name="map_edit_text"),
    path(f"{_MAP}<slug:part>/", part_views.part, name="map_edit_part"),
]
