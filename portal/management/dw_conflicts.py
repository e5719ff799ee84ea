"""`dw conflicts`: list conflicts, or use one side's version for some."""

from __future__ import annotations

import argparse

from django.db.models import QuerySet

from portal.conflicts import queries, services
from portal.errors.models import Conflict, ConflictState
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map

LISTED = 1000


def register(add: Add) -> None:
    """Add the command about conflicts."""
    parser = add(
        "conflicts", conflicts, "list conflicts, or use one side's version for some"
    )
    parser.add_argument("ids", nargs="*", type=int, metavar="ID")
    parser.add_argument("--map", metavar="MAP", help="only conflicts of this map")
    parser.add_argument("--column", help="only conflicts about this column")
    parser.add_argument(
        "--state",
        choices=[*ConflictState.values, "all"],
        default="all",
        help="only conflicts in this state",
    )
    parser.add_argument(
        "--use",
        choices=("finops", "dataverse"),
        help="give both sides the version this side had",
    )
    parser.set_defaults(usage=parser.error)


def conflicts(options: argparse.Namespace, console: Console) -> Result:
    """Conflicts, newest first; or decide some."""
    found = _chosen(options)
    if options.use:
        if not (options.ids or options.map or options.state == "undecided"):
            options.usage("name conflict ids, or --map MAP, or --state undecided")
        return _use(found, options.use)
    document = [
        queries.document(one)
        for one in found.select_related("table_map").order_by("-id")[:LISTED]
    ]
    rows = [
        [
            one["id"],
            one["map"],
            " / ".join(part or "" for part in one["key"] or ()),
            one["column"] or "(record)",
            one["state"],
            one["side"] or one["winner"],
        ]
        for one in document
    ]
    text = (
        table(rows, ("id", "map", "key", "column", "state", "both have"))
        if rows
        else "There are no conflicts."
    )
    return Result({"conflicts": document}, text)


def _chosen(options: argparse.Namespace) -> QuerySet[Conflict]:
    found = Conflict.objects.all()
    if options.ids:
        found = found.filter(pk__in=options.ids)
    if options.map:
        found = found.filter(table_map=find_map(options.map))
    if options.column:
        found = found.filter(column=options.column)
    if options.state != "all":
        found = found.filter(state=options.state)
    return found


def _use(found: QuerySet[Conflict], side: str) -> Result:
    done = services.use_side_for_all(found, side)
    document = {
        "decided": done.done,
        "refused": [
            {"id": pk, "message": text} for pk, text in sorted(done.refused.items())
        ],
    }
    number = len(done.done)
    text = f"Decided {number} conflict{'' if number == 1 else 's'}."
    if not done.refused and number:
        return Result(document, text)
    reasons = [f"{pk}: {text}" for pk, text in sorted(done.refused.items())]
    reasons = reasons or ["No conflict matches."]
    return Result(document, text, code=1, error="\n".join([text, *reasons]))
