"""The tick that evaluates alert rules."""

from __future__ import annotations

from celery import shared_task

from portal.alerts import rules


@shared_task(name="portal.alerts.tasks.evaluate_rules")
def evaluate_rules() -> None:
    """Raise and clear the alerts of all rules."""
    rules.evaluate()
