"""`dw units`: list, write and resolve atomic writes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from portal.environments.models import ConnectionSet
from portal.environments.queries import choose_connection_set
from portal.management.results import Add, Console, Result, table
from portal.units import files, services
from portal.units.models import AtomicUnit, UnitStates

SHOWN = 100


def register(add: Add) -> None:
    """Add the command."""
    parser = add(
        "units", units, "list atomic writes, write one from a file, or resolve them"
    )
    parser.add_argument(
        "what", nargs="?", choices=["list", "write", "resolve"], default="list"
    )
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="the unit to write (JSON; - reads it)"
    )
    parser.add_argument("--set", dest="connection_set", metavar="SET")
    parser.add_argument(
        "--state", choices=UnitStates.values, help="list only units in this state"
    )


def units(options: argparse.Namespace, console: Console) -> Result:
    """List, write or resolve."""
    if options.what == "write":
        return _write(options)
    if options.what == "resolve":
        return _resolve(options)
    rows = AtomicUnit.objects.select_related("connection_set")
    if options.connection_set:
        rows = rows.filter(connection_set=choose_connection_set(options.connection_set))
    if options.state:
        rows = rows.filter(state=options.state)
    found = [services.document(unit) for unit in rows[:SHOWN]]
    return Result({"units": found}, _table(found))


def _table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "There are no atomic writes."
    return table(
        [
            [
                one["unit"],
                one["connection_set"],
                one["state"],
                one["records"],
                f"{one['begun_at']:%Y-%m-%d %H:%M:%S}",
                one["message"] or "-",
            ]
            for one in found
        ],
        ("unit", "connection set", "state", "records", "begun (UTC)", "message"),
    )


def _write(options: argparse.Namespace) -> Result:
    if not options.file:
        return Result.failure("no_file", "Name the file with the unit.", code=2)
    try:
        text = (
            sys.stdin.read() if options.file == "-" else Path(options.file).read_text()
        )
        given = json.loads(text)
    except (OSError, ValueError) as error:
        return Result.failure("file_unreadable", f"{options.file}: {error}")
    unit_id, records = files.read_unit(given)
    unit = services.write(
        choose_connection_set(options.connection_set), unit_id, records
    )
    return Result(
        services.document(unit), f"{unit.unit_id}: {unit.get_state_display()}."
    )


def _resolve(options: argparse.Namespace) -> Result:
    sets = (
        [choose_connection_set(options.connection_set)]
        if options.connection_set
        else list(ConnectionSet.objects.select_related("finops", "dataverse"))
    )
    lines: list[str] = []
    found: list[dict[str, Any]] = []
    for one in sets:
        resolved = services.resolve_set(one)
        away = [one.environment(side).name for side in resolved.unreachable]
        found.append(
            {
                "connection_set": one.name,
                "committed": list(resolved.committed),
                "undone": list(resolved.undone),
                "waiting": list(resolved.waiting),
                "unreachable": away,
            }
        )
        lines.append(
            f"{one.name}: {len(resolved.committed)} committed, "
            f"{len(resolved.undone)} undone, {len(resolved.waiting)} waiting"
            + (f"; not reachable: {', '.join(away)}" if away else "")
        )
    code = 1 if any(one["unreachable"] or one["waiting"] for one in found) else 0
    return Result({"resolved": found}, "\n".join(lines), code=code)
