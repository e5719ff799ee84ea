"""`dw system`."""

from __future__ import annotations

import argparse

from portal.management.results import Add, Console, Result, table
from portal.operations import queries


def register(add: Add) -> None:
    """Add the command about the portal's own processes."""
    add("system", system, "show the portal's processes, heartbeats and task queues")


def system(options: argparse.Namespace, console: Console) -> Result:
    """Processes and queues; exit code 1 with what is wrong."""
    found = queries.system()
    processes = [
        {
            "kind": one.process.kind,
            "host": one.process.host,
            "pid": one.process.number,
            "state": "silent" if one.silent else "alive",
            "version": one.process.version,
            "queues": one.process.queues,
            "started_at": one.process.started_at,
            "seen_at": one.process.seen_at,
        }
        for one in found.processes
    ]
    document = {
        "version": found.version,
        "processes": processes,
        "ticked_at": found.ticked_at,
        "queues": found.queues,
        "problems": list(found.problems),
    }
    header = ("process", "host", "pid", "state", "version", "queues", "last heard of")
    rows = [
        [
            entry["kind"],
            entry["host"],
            entry["pid"],
            entry["state"],
            entry["version"],
            entry["queues"] or "-",
            f"{entry['seen_at']:%Y-%m-%d %H:%M:%S}",
        ]
        for entry in processes
    ]
    waiting = ", ".join(
        f"{name} {number}" for name, number in (found.queues or {}).items()
    )
    text = table(rows, header)
    if waiting:
        text += f"\nTasks that wait: {waiting}"
    return Result(
        document,
        text,
        code=1 if found.problems else 0,
        error="\n".join(found.problems),
    )
