"""Webhooks in the browser."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import needs
from portal.accounts.roles import Right
from portal.alerts import delivering, webhooks
from portal.alerts.models import Webhook
from portal.confirming import Removal, confirm_removal
from portal.pages import page
from portal.refusals import Refusal

ASKING = require_http_methods(["GET", "HEAD", "POST"])


class WebhookForm(forms.Form):
    """A name, an address, on or off."""

    name = forms.CharField(max_length=100)
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="Such as https://chat.example.com/hooks/dualwrite",
        widget=forms.URLInput,
    )
    enabled = forms.BooleanField(required=False, initial=True)
    renew = forms.BooleanField(label="Make a new secret", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "url"):
            self.fields[name].widget.attrs["class"] = "dw-input"


@needs(Right.ALERT_RULES, whole=True)
@require_safe
def webhook_list(request: HttpRequest) -> HttpResponse:
    """All of them."""
    rows = Webhook.objects.defer("secret").prefetch_related("rules")
    return page(
        request,
        "portal/webhook_list.html",
        {"rows": rows, "tab": "webhooks"},
        title="Webhooks",
    )


@needs(Right.ALERT_RULES, whole=True)
@ASKING
def webhook_new(request: HttpRequest) -> HttpResponse:
    """A form for a new one."""
    return _edit(request, None)


@needs(Right.ALERT_RULES, whole=True)
@ASKING
def webhook_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them, with its secret: the receiver needs it."""
    return _edit(request, get_object_or_404(Webhook, pk=pk))


def _edit(request: HttpRequest, webhook: Webhook | None) -> HttpResponse:
    initial = (
        {"name": webhook.name, "url": webhook.url, "enabled": webhook.enabled}
        if webhook
        else None
    )
    form = WebhookForm(request.POST or None, initial=initial)
    refused: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            saved = webhooks.save_webhook(
                **form.cleaned_data, webhook=webhook, by_name=False, user=_user(request)
            )
        except Refusal as caught:
            refused = caught
        else:
            messages.success(
                request,
                f"{saved.name} is saved. Give its receiver the "
                "secret, and send a test.",
            )
            return redirect("webhook_page", pk=saved.pk)
    stored = Webhook.objects.get(pk=webhook.pk) if webhook else None
    return page(
        request,
        "portal/webhook.html",
        {"form": form, "webhook": stored, "refused": refused, "tab": "webhooks"},
        title=stored.name if stored else "New webhook",
        status=400 if refused or form.errors else 200,
    )


@needs(Right.ALERT_RULES, whole=True)
@require_POST
def webhook_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test now and say what was answered."""
    webhook = get_object_or_404(Webhook, pk=pk)
    try:
        answer = delivering.send_test_to(webhook, user=_user(request))
    except Refusal as refused:
        messages.error(request, f"The test was not taken. {refused.message}")
    else:
        messages.success(request, f"{webhook.name} answered {answer}.")
    return redirect("webhook_page", pk=pk)


@needs(Right.ALERT_RULES, whole=True)
@ASKING
def webhook_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then delete."""
    webhook = get_object_or_404(Webhook, pk=pk)
    removal = Removal(
        verb="Delete",
        name=webhook.name,
        kind="webhook",
        losses=("Rules do not tell it any more.", "Its sent messages are gone."),
        back=reverse("webhook_page", args=[pk]),
    )

    def remove(_force: bool) -> tuple[str, str]:
        webhooks.delete_webhook(webhook.name, user=_user(request))
        return f"{webhook.name} was deleted.", reverse("webhook_list")

    return confirm_removal(request, removal, remove)


def _user(request: HttpRequest) -> Any:
    return request.user
