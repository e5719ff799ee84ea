"""`dw sync-mode`: whether users' commits wait until they are on the other side."""

from __future__ import annotations

import argparse
from typing import Any

from portal.environments.queries import find_connection_set
from portal.management.results import Add, Console, Result
from portal.synchronous import queries, services
from syncengine.mapping.model import Side

SIDES = [side.value for side in Side]


def register(add: Add) -> None:
    """Add the command."""
    parser = add(
        "sync-mode",
        sync_mode,
        "have commits wait until they are on the other side, or show whether they do",
    )
    parser.add_argument("connection_set", metavar="SET")
    parser.add_argument("switch", nargs="?", choices=["on", "off"])
    parser.add_argument(
        "--source", choices=SIDES, help="only for commits on this side; else on both"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="fall back when a commit waited so long (5)",
    )


def sync_mode(options: argparse.Namespace, console: Console) -> Result:
    """Turn it on or off, or show it."""
    connection_set = find_connection_set(options.connection_set)
    sides = [Side(options.source)] if options.source else list(Side)
    if options.switch == "on":
        services.turn_on(connection_set, sides, timeout=options.timeout)
    elif options.switch == "off":
        services.turn_off(connection_set, sides)
    modes = queries.modes_of(connection_set)
    return Result(
        {"connection_set": connection_set.name, "synchronous": modes},
        "\n".join(_line(mode) for mode in modes),
    )


def _line(mode: dict[str, Any]) -> str:
    text = f"commits on {mode['environment']} ({mode['source']}): {mode['state']}"
    if mode["state"] != "off":
        text += f", time-out {mode['timeout_seconds']:g} s"
    return f"{text} ({mode['reason']})" if mode["reason"] else text
