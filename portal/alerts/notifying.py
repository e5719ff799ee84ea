"""Telling people about a new alert: the one place where channels are added."""

from __future__ import annotations


def opened(alert_id: int) -> None:
    """Called once, after the transaction that opened an alert has committed.

    The portal itself is the only channel now: the dashboard, the list of alerts, the
    activity log and the log of the process already have it.
    """
