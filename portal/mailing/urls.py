"""Addresses of the mail settings."""

from __future__ import annotations

from django.urls import path

from portal.mailing import views

urlpatterns = [
    path("alerts/mail/", views.mail_settings, name="mail_settings"),
    path("alerts/mail/test/", views.mail_test, name="mail_test"),
]
