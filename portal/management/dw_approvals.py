"""`dw approvals` and `dw guard`."""

from __future__ import annotations

import argparse
from typing import Any

from portal.approvals import guarding, services
from portal.approvals.guarding import GuardValues
from portal.approvals.models import Approval, ApprovalState
from portal.management.results import Add, Console, Result, table
from portal.maps.models import TableMap
from portal.maps.queries import find_map
from portal.sync.journal import key_text


def register(add: Add) -> None:
    """Add the commands about held changes."""
    parser = add("approvals", approvals, "list held changes, or approve or reject some")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--approve", nargs="+", type=int, metavar="ID", help="carry them over"
    )
    chosen.add_argument(
        "--reject",
        nargs="+",
        type=int,
        metavar="ID",
        help="keep them as a file instead; the map must then be compared",
    )
    chosen.add_argument(
        "--all", action="store_true", dest="everything", help="decided ones as well"
    )
    parser = add("guard", guard, "show or set when the changes of a map are held")
    parser.add_argument("map", metavar="MAP")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--on", action="store_true", help="hold mass changes")
    switch.add_argument("--off", action="store_true", help="hold nothing")
    parser.add_argument("--deletes", type=int, metavar="PERCENT", help="0: never")
    parser.add_argument("--updates", type=int, metavar="PERCENT", help="0: never")
    parser.add_argument("--rows", type=int, metavar="N", help="from so many rows on")
    parser.add_argument("--window", type=int, metavar="SECONDS")


def approvals(options: argparse.Namespace, console: Console) -> Result:
    """Held waves, newest first; or decide on some."""
    if options.approve:
        for one in options.approve:
            services.approve(one)
        return Result({"approved": options.approve}, _done("Approved", options.approve))
    if options.reject:
        discarded = sum(services.reject(one).discarded for one in options.reject)
        return Result(
            {"rejected": options.reject, "discarded": discarded},
            _done("Rejected", options.reject)
            + f" {discarded} changes are kept as files. Compare the maps.",
        )
    rows = Approval.objects.select_related("table_map").order_by("-id")
    if not options.everything:
        rows = rows.filter(state=ApprovalState.OPEN)
    document = [_document(one) for one in rows]
    lines = [
        [
            one["id"],
            one["map"],
            one["direction"],
            one["kind"],
            f"{one['count']} of {one['rows']}",
            one["state"],
        ]
        for one in document
    ]
    header = ("id", "map", "direction", "what", "rows", "state")
    text = table(lines, header) if lines else "Nothing waits for approval."
    return Result({"approvals": document}, text)


def _done(word: str, ids: list[int]) -> str:
    return f"{word} {', '.join(map(str, ids))}."


def _document(one: Approval) -> dict[str, Any]:
    return {
        "id": one.pk,
        "map": one.table_map.name,
        "direction": one.direction,
        "kind": one.kind,
        "count": one.count,
        "rows": one.rows,
        "sample": [key_text(key) for key in one.sample],
        "state": one.state,
        "held_at": one.held_at,
        "decided_at": one.decided_at,
        "discarded": one.discarded,
    }


def guard(options: argparse.Namespace, console: Console) -> Result:
    """The guard of a map; set where values are given."""
    switch = True if options.on else False if options.off else None
    table_map = guarding.change(
        find_map(options.map),
        GuardValues(
            switch, options.deletes, options.updates, options.rows, options.window
        ),
    )
    return Result(
        _guard(table_map), f"{table_map.name}: {guarding.sentence(table_map)}"
    )


def _guard(table_map: TableMap) -> dict[str, Any]:
    return {
        "map": table_map.name,
        "enabled": table_map.guard_enabled,
        "deletes_percent": table_map.guard_deletes_percent,
        "updates_percent": table_map.guard_updates_percent,
        "rows": table_map.guard_rows,
        "window_seconds": table_map.guard_window_seconds,
    }
