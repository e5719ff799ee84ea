"""`dw alerts`."""

from __future__ import annotations

import argparse

from portal.alerts import queries, services
from portal.alerts.queries import AlertFilter
from portal.management.results import Add, Console, Result, table


def register(add: Add) -> None:
    """Add the command about alerts."""
    parser = add("alerts", alerts, "list open alerts, or acknowledge or close some")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--acknowledge", nargs="+", type=int, metavar="ID", help="mark alerts as seen"
    )
    chosen.add_argument(
        "--close", nargs="+", type=int, metavar="ID", help="close alerts by hand"
    )
    chosen.add_argument(
        "--snooze", nargs="+", type=int, metavar="ID", help="put alerts aside a while"
    )
    parser.add_argument(
        "--minutes", type=int, default=60, help="how long to snooze (60)"
    )
    chosen.add_argument(
        "--all", action="store_true", dest="everything", help="closed ones as well"
    )


def alerts(options: argparse.Namespace, console: Console) -> Result:
    """Alerts, newest first; or mark some."""
    if options.acknowledge:
        number = services.acknowledge(options.acknowledge)
        return Result({"acknowledged": number}, f"Acknowledged {number}.")
    if options.close:
        number = services.close(options.close)
        return Result({"closed": number}, f"Closed {number}.")
    if options.snooze:
        number = services.snooze(options.snooze, options.minutes)
        return Result({"snoozed": number}, f"Snoozed {number}.")
    filters = AlertFilter(state="all" if options.everything else "open")
    document = [
        {
            "id": alert.pk,
            "kind": alert.kind,
            "severity": alert.severity,
            "connection_set": alert.connection_set.name
            if alert.connection_set
            else None,
            "map": alert.table_map.name if alert.table_map else None,
            "message": alert.message,
            "details": alert.details,
            "count": alert.count,
            "opened_at": alert.opened_at,
            "last_seen": alert.last_seen,
            "acknowledged_at": alert.acknowledged_at,
            "snoozed_until": alert.snoozed_until,
            "closed_at": alert.closed_at,
        }
        for alert in queries.alert_list(filters).iterator(2000)
    ]
    rows = [
        [
            entry["id"],
            entry["severity"],
            entry["map"] or entry["connection_set"] or "-",
            entry["message"],
            entry["count"],
        ]
        for entry in document
    ]
    text = (
        table(rows, ("id", "severity", "about", "message", "count"))
        if rows
        else "There are no open alerts."
    )
    return Result({"alerts": document}, text)
