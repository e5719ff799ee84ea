"""`dw errors` and `dw retry`."""

from __future__ import annotations

import argparse

from portal.errors import services
from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map


def register(add: Add) -> None:
    """Add the commands about errors."""
    parser = add("errors", errors, "list open errors, newest first")
    parser.add_argument("--map", metavar="MAP", help="only errors of this map")
    parser = add("retry", retry, "try failed records again")
    parser.add_argument("ids", nargs="*", type=int, metavar="ID")
    parser.add_argument("--map", metavar="MAP", help="all open errors of this map")
    parser.add_argument(
        "--all", action="store_true", dest="everything", help="all open errors"
    )
    parser.set_defaults(usage=parser.error)


def errors(options: argparse.Namespace, console: Console) -> Result:
    """Open errors, newest first."""
    found = SyncError.objects.filter(state__in=OPEN_ERROR_STATES).select_related(
        "table_map"
    )
    if options.map:
        found = found.filter(table_map=find_map(options.map))
    document = [
        {
            "id": error.pk,
            "map": error.table_map.name,
            "direction": error.direction,
            "phase": error.phase,
            "key": error.key,
            "code": error.code,
            "column": error.column,
            "message": error.message,
            "state": error.state,
            "count": error.count,
            "first_seen": error.first_seen,
            "last_seen": error.last_seen,
        }
        for error in found.defer("source_row", "mapped_row", "remote").iterator(2000)
    ]
    rows = [
        [
            entry["id"],
            entry["map"],
            " / ".join("" if part is None else str(part) for part in entry["key"]),
            entry["column"] or "-",
            entry["message"],
            entry["count"],
        ]
        for entry in document
    ]
    text = (
        table(rows, ("id", "map", "key", "column", "message", "count"))
        if rows
        else "There are no open errors."
    )
    return Result({"errors": document}, text)


def retry(options: argparse.Namespace, console: Console) -> Result:
    """Ask for another try of chosen errors."""
    ways = [bool(options.ids), bool(options.map), options.everything]
    if sum(ways) != 1:
        options.usage("name error ids, or --map MAP, or --all")
    chosen = services.choose(
        ids=options.ids or None,
        table_map=find_map(options.map) if options.map else None,
        everything=options.everything,
    )
    number = services.retry(chosen)
    noun = "error" if number == 1 else "errors"
    return Result({"retried": number}, f"Retrying {number} {noun}.")
