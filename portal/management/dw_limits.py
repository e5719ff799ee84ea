"""`dw limits`."""

from __future__ import annotations

import argparse

from portal.environments.limits import limits_of, set_limits
from portal.environments.models import AfterGap, QueuePolicy
from portal.environments.queries import find_connection_set
from portal.management.results import Add, Console, Result, table

OPTIONS = {
    "queue_warn_minutes": "--queue-minutes",
    "queue_warn_bytes": "--queue-bytes",
    "spool_after_seconds": "--spool-after",
    "spool_bytes": "--spool-bytes",
    "log_limit_bytes": "--log-bytes",
}


def register(add: Add) -> None:
    """Add the command about limits."""
    parser = add("limits", limits, "show or change the limits of a connection set")
    parser.add_argument("connection_set", metavar="NAME")
    for name, option in OPTIONS.items():
        parser.add_argument(option, dest=name, type=int, metavar="N")
    parser.add_argument(
        "--queue-policy", dest="queue_policy", choices=QueuePolicy.values
    )
    parser.add_argument("--after-gap", dest="after_gap", choices=AfterGap.values)


def limits(options: argparse.Namespace, console: Console) -> Result:
    """The limits, after the change where one is asked for."""
    connection_set = find_connection_set(options.connection_set)
    names = (*OPTIONS, "queue_policy", "after_gap")
    values = {
        name: getattr(options, name)
        for name in names
        if getattr(options, name) is not None
    }
    if values:
        connection_set = set_limits(connection_set, values)
    found = limits_of(connection_set)
    return Result(
        {"connection_set": connection_set.name, "limits": found},
        table(list(found.items()), ("limit", "value")),
    )
