"""Alerts for reading, and the rules that raise them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.alerts import rule_services
from portal.alerts.models import (
    Alert,
    AlertRule,
    Delivery,
    InboxItem,
    RuleFiring,
    RuleTelling,
    Webhook,
)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What is and was open."""

    list_display = ("opened_at", "severity", "kind", "message", "closed_at")
    list_filter = ("severity", "kind")
    search_fields = ("message",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Messages that were or are to be sent."""


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyAdmin):
    """What is in people's inboxes."""


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Addresses that are sent JSON; their pages change them."""

    exclude = ("secret",)


@admin.register(RuleTelling)
class RuleTellingAdmin(ReadOnlyAdmin):
    """When a rule last told people of a subject."""


class RuleFiringInline(ReadOnlyInline):
    """When the rule last acted, and on what."""

    model = RuleFiring
    per_page = 50


@admin.register(AlertRule)
class AlertRuleAdmin(ModelAdmin):
    """When to raise an alert, and what to do then; it counts at once."""

    list_display = (
        "name",
        "measure",
        "threshold",
        "window_minutes",
        "connection_set",
        "table_map",
        "action",
        "enabled",
    )
    list_filter = ("measure", "action", "enabled")
    list_select_related = ("connection_set", "table_map")
    search_fields = ("name",)
    filter_horizontal = ("users", "groups", "webhooks")
    inlines = (RuleFiringInline,)

    def save_model(
        self,
        request: HttpRequest,
        obj: AlertRule,
        form: ModelForm[AlertRule],
        change: bool,
    ) -> None:
        super().save_model(request, obj, form, change)
        rule_services.note_rule(
            obj, "changed" if change else "added", user=_user(request)
        )

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        rule_services.note_rule(obj, "deleted", user=_user(request))
        super().delete_model(request, obj)

    def delete_queryset(
        self, request: HttpRequest, queryset: QuerySet[AlertRule]
    ) -> None:
        for rule in queryset:
            rule_services.note_rule(rule, "deleted", user=_user(request))
        super().delete_queryset(request, queryset)


def _user(request: HttpRequest) -> Any:
    return request.user
