"""`dw alert-rules`."""

from __future__ import annotations

import argparse

from portal.alerts import rules
from portal.alerts.models import AlertRule, Measure, RuleAction
from portal.environments.queries import find_connection_set
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map


def register(add: Add) -> None:
    """Add the command about alert rules."""
    parser = add("alert-rules", alert_rules, "list alert rules, or change one")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--set", metavar="NAME", dest="saved", help="add or change")
    chosen.add_argument("--delete", metavar="NAME", dest="deleted")
    parser.add_argument("--measure", choices=Measure.values)
    parser.add_argument("--threshold", type=int, metavar="N")
    parser.add_argument("--window", type=int, default=15, metavar="MINUTES")
    parser.add_argument("--action", choices=RuleAction.values, default="notify")
    parser.add_argument("--codes", default="", help="only errors of these codes")
    parser.add_argument("--recipients", default="", help="addresses, with commas")
    parser.add_argument("--map", metavar="MAP", help="only this map")
    parser.add_argument("--connection-set", metavar="NAME", help="only this set's maps")
    parser.add_argument("--disabled", action="store_true", help="keep it for later")
    parser.set_defaults(usage=parser.error)


def alert_rules(options: argparse.Namespace, console: Console) -> Result:
    """All rules; or one after it was changed."""
    if options.deleted:
        rules.delete_rule(options.deleted)
        return Result({"deleted": options.deleted}, f"Deleted {options.deleted}.")
    if options.saved:
        if options.measure is None or options.threshold is None:
            options.usage("--set needs --measure and --threshold")
        rule, added = rules.save_rule(
            options.saved,
            measure=options.measure,
            threshold=options.threshold,
            window_minutes=options.window,
            action=options.action,
            codes=options.codes,
            recipients=options.recipients,
            table_map=find_map(options.map) if options.map else None,
            connection_set=find_connection_set(options.connection_set)
            if options.connection_set
            else None,
            enabled=not options.disabled,
        )
        word = "Added" if added else "Changed"
        return Result({"rule": _row(rule)}, f"{word} {rule.name}.")
    document = [
        _row(rule)
        for rule in AlertRule.objects.select_related("connection_set", "table_map")
    ]
    rows = [
        [
            row["name"],
            row["map"] or row["connection_set"] or "all",
            row["measure"],
            row["threshold"],
            row["window_minutes"],
            row["action"] if row["enabled"] else "off",
        ]
        for row in document
    ]
    header = ("name", "for", "measure", "threshold", "window", "action")
    text = table(rows, header) if rows else "There are no alert rules."
    return Result({"rules": document}, text)


def _row(rule: AlertRule) -> dict[str, object]:
    return {
        "name": rule.name,
        "measure": rule.measure,
        "threshold": rule.threshold,
        "window_minutes": rule.window_minutes,
        "action": rule.action,
        "codes": rule.codes,
        "recipients": rule.recipients,
        "connection_set": rule.connection_set.name if rule.connection_set else None,
        "map": rule.table_map.name if rule.table_map else None,
        "enabled": rule.enabled,
    }
