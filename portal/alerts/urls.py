"""Addresses of alerts, their rules, their messages, and the inbox."""

from __future__ import annotations

from django.urls import path

from portal.alerts import message_views, rule_views, views, webhook_views

urlpatterns = [
    path("alerts/", views.alert_list, name="alert_list"),
    path("alerts/mark/", views.mark, name="alert_mark"),
    path("alerts/<int:pk>/", views.alert_page, name="alert_page"),
    path("alerts/rules/", rule_views.rule_list, name="alert_rule_list"),
    path("alerts/rules/new/", rule_views.rule_new, name="alert_rule_new"),
    path("alerts/rules/<int:pk>/", rule_views.rule_page, name="alert_rule_page"),
    path(
        "alerts/rules/<int:pk>/switch/",
        rule_views.rule_switch,
        name="alert_rule_switch",
    ),
    path("alerts/rules/<int:pk>/test/", rule_views.rule_test, name="alert_rule_test"),
    path(
        "alerts/rules/<int:pk>/delete/",
        rule_views.rule_delete,
        name="alert_rule_delete",
    ),
    path("alerts/messages/", message_views.delivery_list_page, name="delivery_list"),
    path("alerts/messages/retry/", message_views.delivery_retry, name="delivery_retry"),
    path("alerts/webhooks/", webhook_views.webhook_list, name="webhook_list"),
    path("alerts/webhooks/new/", webhook_views.webhook_new, name="webhook_new"),
    path("alerts/webhooks/<int:pk>/", webhook_views.webhook_page, name="webhook_page"),
    path(
        "alerts/webhooks/<int:pk>/test/",
        webhook_views.webhook_test,
        name="webhook_test",
    ),
    path(
        "alerts/webhooks/<int:pk>/delete/",
        webhook_views.webhook_delete,
        name="webhook_delete",
    ),
    path("inbox/", message_views.inbox_page, name="inbox"),
    path("inbox/mark/", message_views.inbox_mark, name="inbox_mark"),
]
