"""The ticks that evaluate alert rules, tell people, and send messages."""

from __future__ import annotations

from celery import shared_task

from portal.alerts import delivering, rules, telling


@shared_task(name="portal.alerts.tasks.evaluate_rules")
def evaluate_rules() -> None:
    """Raise and clear the alerts of all rules."""
    rules.evaluate()


@shared_task(name="portal.alerts.tasks.tell")
def tell() -> None:
    """Make the messages about alerts that opened or are over."""
    telling.tell()


@shared_task(name="portal.alerts.tasks.deliver")
def deliver() -> None:
    """Send the messages that are due."""
    delivering.deliver_due()
