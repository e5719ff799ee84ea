"""Alert rules in the browser: the list, one of them, switching, testing, deleting."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.alerts import measures, rule_services, telling
from portal.alerts.audience import audience_of
from portal.alerts.models import AlertRule
from portal.alerts.rule_form import SECTIONS, RuleForm
from portal.alerts.words import sentence
from portal.confirming import Removal, confirm_removal
from portal.mailing.configuration import outgoing
from portal.pages import page
from portal.refusals import Refusal

READINGS_SHOWN = 5


@needs(Right.SEE, whole=True)
@require_safe
def rule_list(request: HttpRequest) -> HttpResponse:
    """All rules, in words."""
    rules = AlertRule.objects.select_related(
        "connection_set", "table_map"
    ).prefetch_related("users", "groups", "webhooks")
    return page(
        request,
        "portal/alert_rule_list.html",
        {
            "rows": [{"rule": rule, "words": sentence(rule)} for rule in rules],
            "may_add": may(request, Right.ALERT_RULES),
            "may_change": may(request, Right.ALERT_RULES),
            "mail_ready": outgoing().ready,
            "tab": "rules",
        },
        title="Alert rules",
    )


@needs(Right.ALERT_RULES, whole=True)
@require_http_methods(["GET", "HEAD", "POST"])
def rule_new(request: HttpRequest) -> HttpResponse:
    """A form for a new one."""
    return _edit(request, None)


@needs(Right.SEE, post=Right.ALERT_RULES, of=AlertRule, closed=True)
@require_http_methods(["GET", "HEAD", "POST"])
def rule_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One rule, what it finds now, whom it tells."""
    rule = get_object_or_404(AlertRule, pk=pk)
    return _edit(request, rule)


def _edit(request: HttpRequest, rule: AlertRule | None) -> HttpResponse:
    zone = getattr(request.user, "time_zone", "UTC")
    form = RuleForm(request.POST or None, instance=rule, zone=zone)
    refused: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            saved, added = rule_services.save_rule(
                **form.arguments(), rule=rule, by_name=False, user=_user(request)
            )
        except Refusal as caught:
            refused = caught
        else:
            word = "added" if added else "saved"
            messages.success(request, f"{saved.name} was {word}. It counts at once.")
            return redirect("alert_rule_page", pk=saved.pk)
    stored = AlertRule.objects.get(pk=rule.pk) if rule else None
    return page(
        request,
        "portal/alert_rule.html",
        {
            "form": form,
            "sections": [
                {"title": title, "fields": [(form[name], of) for name, of in fields]}
                for title, fields in SECTIONS
            ],
            "refused": refused,
            "rule": stored,
            "words": sentence(stored) if stored else "",
            "audience": audience_of(stored) if stored else None,
            "readings": _readings(stored) if stored else [],
            "may_change": may(request, Right.ALERT_RULES),
            "may_delete": may(request, Right.ALERT_RULES),
            "tab": "rules",
        },
        title=stored.name if stored else "New alert rule",
        status=400 if refused or form.errors else 200,
    )


def _readings(rule: AlertRule) -> list[dict[str, Any]]:
    """What it measures at this moment, the largest first."""
    found = sorted(
        measures.read(rule, timezone.now()), key=lambda one: one.value, reverse=True
    )
    return [
        {"reading": one, "reached": one.value >= rule.threshold}
        for one in found[:READINGS_SHOWN]
    ]


@needs(Right.ALERT_RULES, of=AlertRule, whole=True)
@require_POST
def rule_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch a rule on or off."""
    rule = get_object_or_404(AlertRule, pk=pk)
    enabled = request.POST.get("enabled") == "yes"
    rule_services.switch_rule(rule, enabled, user=_user(request))
    messages.success(request, f"{rule.name} is {'on' if enabled else 'off'}.")
    return redirect("alert_rule_list")


@needs(Right.ALERT_RULES, of=AlertRule, whole=True)
@require_POST
def rule_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test to all whom the rule tells."""
    rule = get_object_or_404(AlertRule, pk=pk)
    number = telling.send_test(rule)
    if number:
        messages.success(
            request,
            f"{number} test message{'' if number == 1 else 's'} on the way. "
            "What becomes of them is listed here.",
        )
        return redirect("delivery_list")
    messages.warning(
        request,
        "The rule names no mail address and no webhook: nobody was sent a test.",
    )
    return redirect("alert_rule_page", pk=pk)


@needs(Right.ALERT_RULES, of=AlertRule, whole=True)
@require_http_methods(["GET", "HEAD", "POST"])
def rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then delete."""
    rule = get_object_or_404(AlertRule, pk=pk)
    removal = Removal(
        verb="Delete",
        name=rule.name,
        kind="alert rule",
        losses=(
            "The rule and whom it tells are gone.",
            "Its open alerts are over; what they were stays in the list.",
        ),
        back=reverse("alert_rule_page", args=[pk]),
    )

    def remove(_force: bool) -> tuple[str, str]:
        rule_services.delete_rule(rule.name, user=_user(request))
        return f"{rule.name} was deleted.", reverse("alert_rule_list")

    return confirm_removal(request, removal, remove)


def _user(request: HttpRequest) -> Any:
    return request.user
