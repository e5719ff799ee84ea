"""`dw alert-rules`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from django.contrib.auth.models import Group

from portal.accounts.models import User
from portal.alerts import rule_services, telling
from portal.alerts.models import (
    EVENTS,
    AlertRule,
    Digest,
    Measure,
    RuleAction,
    Webhook,
)
from portal.alerts.rule_services import Told
from portal.environments.queries import find_connection_set
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map
from portal.refusals import NotFound


def register(add: Add) -> None:
    """Add the command about alert rules."""
    parser = add("alert-rules", alert_rules, "list alert rules, or change one")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--set", metavar="NAME", dest="saved", help="add or change")
    chosen.add_argument("--delete", metavar="NAME", dest="deleted")
    chosen.add_argument("--on", metavar="NAME", help="switch one on")
    chosen.add_argument("--off", metavar="NAME", help="switch one off")
    chosen.add_argument(
        "--test", metavar="NAME", dest="tested", help="send a test to all it tells"
    )
    parser.add_argument("--measure", choices=Measure.values)
    parser.add_argument("--threshold", type=int, metavar="N")
    parser.add_argument("--window", type=int, default=15, metavar="MINUTES")
    parser.add_argument("--action", choices=RuleAction.values, default="notify")
    parser.add_argument("--codes", default="", help="only errors of these codes")
    parser.add_argument("--recipients", default="", help="mail addresses, with commas")
    parser.add_argument("--user", nargs="*", metavar="NAME", help="people it tells")
    parser.add_argument("--group", nargs="*", metavar="NAME", help="groups it tells")
    parser.add_argument("--webhook", nargs="*", metavar="NAME")
    parser.add_argument("--digest", choices=Digest.values, default="at_once")
    parser.add_argument("--cooldown", type=int, default=15, metavar="MINUTES")
    parser.add_argument(
        "--quiet", type=_hours, metavar="HH:MM-HH:MM", help="quiet hours"
    )
    parser.add_argument(
        "--time-zone", default="UTC", help="of quiet hours and the daily digest"
    )
    parser.add_argument(
        "--not-when-over", action="store_true", help="do not tell when it is over"
    )
    parser.add_argument("--map", metavar="MAP", help="only this map")
    parser.add_argument("--connection-set", metavar="NAME", help="only this set's maps")
    parser.add_argument("--disabled", action="store_true", help="keep it for later")
    parser.set_defaults(usage=parser.error)


def _hours(text: str) -> tuple[time, time]:
    begin, _, end = text.partition("-")
    try:
        found = [datetime.strptime(part, "%H:%M").time() for part in (begin, end)]
    except ValueError as error:
        raise argparse.ArgumentTypeError("write quiet hours as 22:00-06:00") from error
    return found[0], found[1]


def alert_rules(options: argparse.Namespace, console: Console) -> Result:
    """All rules; or one after it was changed."""
    if options.deleted:
        rule_services.delete_rule(options.deleted)
        return Result({"deleted": options.deleted}, f"Deleted {options.deleted}.")
    if options.on or options.off:
        rule = _find(options.on or options.off)
        rule_services.switch_rule(rule, bool(options.on))
        word = "on" if rule.enabled else "off"
        return Result({"rule": _row(rule)}, f"{rule.name} is {word}.")
    if options.tested:
        number = telling.send_test(_find(options.tested))
        return Result({"messages": number}, f"{number} test messages on the way.")
    if options.saved:
        return _save(options)
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


def _save(options: argparse.Namespace) -> Result:
    counted = options.measure not in EVENTS or options.measure == Measure.DRIFT
    if options.measure is None or (counted and options.threshold is None):
        options.usage("--set needs --measure and --threshold")
    quiet_from, quiet_until = options.quiet or (None, None)
    rule, added = rule_services.save_rule(
        options.saved,
        measure=options.measure,
        threshold=options.threshold if counted else 1,
        window_minutes=options.window,
        action=options.action,
        codes=options.codes,
        recipients=options.recipients,
        told=_told(options),
        digest=options.digest,
        cooldown_minutes=options.cooldown,
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        time_zone=options.time_zone,
        tell_over=not options.not_when_over,
        table_map=find_map(options.map) if options.map else None,
        connection_set=find_connection_set(options.connection_set)
        if options.connection_set
        else None,
        enabled=not options.disabled,
    )
    word = "Added" if added else "Changed"
    return Result({"rule": _row(rule)}, f"{word} {rule.name}.")


def _told(options: argparse.Namespace) -> Told | None:
    """Whom the options name; None where none of them was given."""
    given = (options.user, options.group, options.webhook)
    if all(one is None for one in given):
        return None
    return Told(
        _named(User, "username", "user", options.user),
        _named(Group, "name", "group", options.group),
        _named(Webhook, "name", "webhook", options.webhook),
    )


def _named(model: Any, field: str, word: str, names: Sequence[str] | None) -> list[Any]:
    found = {
        getattr(one, field): one
        for one in model.objects.filter(**{f"{field}__in": names or ()})
    }
    for name in names or ():
        if name not in found:
            raise NotFound(f"There is no {word} {name}.")
    return list(found.values())


def _find(name: str) -> AlertRule:
    rule = AlertRule.objects.filter(name=name).first()
    if rule is None:
        raise NotFound(f"There is no alert rule {name}.")
    return rule


def _row(rule: AlertRule) -> dict[str, object]:
    quiet = (
        f"{rule.quiet_from:%H:%M}-{rule.quiet_until:%H:%M}"
        if rule.quiet_from and rule.quiet_until
        else None
    )
    return {
        "name": rule.name,
        "measure": rule.measure,
        "threshold": rule.threshold,
        "window_minutes": rule.window_minutes,
        "action": rule.action,
        "codes": rule.codes,
        "recipients": rule.recipients,
        "users": [str(one) for one in rule.users.all()],
        "groups": [str(one) for one in rule.groups.all()],
        "webhooks": [str(one) for one in rule.webhooks.all()],
        "digest": rule.digest,
        "cooldown_minutes": rule.cooldown_minutes,
        "quiet_hours": quiet,
        "time_zone": rule.time_zone,
        "tell_over": rule.tell_over,
        "connection_set": rule.connection_set.name if rule.connection_set else None,
        "map": rule.table_map.name if rule.table_map else None,
        "enabled": rule.enabled,
    }
