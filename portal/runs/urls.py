"""Addresses of initial syncs and of the companies they copy."""

from __future__ import annotations

from django.urls import path

from portal.runs import company_views, views

urlpatterns = [
    path("runs/", views.run_list, name="run_list"),
    path("runs/live/", views.run_list_live, name="run_list_live"),
    path("runs/<int:pk>/", views.run_page, name="run_page"),
    path("runs/<int:pk>/live/", views.run_live, name="run_live"),
    path("runs/<int:pk>/cancel/", views.run_cancel, name="run_cancel"),
    path("runs/<int:pk>/again/", views.run_again, name="run_again"),
    path("runs/<int:pk>/skip/", views.run_skip, name="run_skip"),
    path("runs/<int:pk>/errors.csv", views.run_errors, name="run_errors"),
    path(
        "connection-sets/<int:pk>/companies/",
        company_views.companies,
        name="connection_set_companies",
    ),
]
