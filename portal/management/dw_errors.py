"""`dw errors`, `dw retry`, `dw dismiss` and `dw mend`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.db.models import QuerySet

from portal.errors import hidden, mending, owning, services
from portal.errors.causes import causes, documents
from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.errors.queries import ErrorFilter
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map
from portal.refusals import NotFound


def register(add: Add) -> None:
    """Add the commands about errors."""
    parser = add("errors", errors, "list open errors, newest first")
    parser.add_argument("--map", metavar="MAP", help="only errors of this map")
    parser.add_argument(
        "--by-cause", action="store_true", help="causes, those with most records first"
    )
    parser.add_argument(
        "--cause", nargs="+", type=int, metavar="ID", help="only of these causes"
    )
    parser.add_argument(
        "--assign",
        metavar="USER",
        help="give the causes to a user, or to nobody with an empty text",
    )
    parser.add_argument("--comment", metavar="TEXT", help="write about the causes")
    parser.set_defaults(usage=parser.error)
    _add_choice(add("retry", retry, "try failed records again"))
    parser = add("dismiss", dismiss, "set failed records aside, writing nothing")
    _add_choice(parser)
    parser.add_argument("--reason", default="", help="why, kept with the errors")
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    parser = add("mend", mend, "add the value an error misses to its value map")
    parser.add_argument("id", type=int, metavar="ID", help="the error")
    parser.add_argument("meaning", help="the value of the other side it stands for")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", type=int, metavar="ID")
    parser.add_argument("--map", metavar="MAP", help="all open errors of this map")
    parser.add_argument(
        "--cause",
        nargs="+",
        type=int,
        metavar="ID",
        help="all open errors of these causes",
    )
    parser.add_argument(
        "--all", action="store_true", dest="everything", help="all open errors"
    )
    parser.set_defaults(usage=parser.error)


def errors(options: argparse.Namespace, console: Console) -> Result:
    """Open errors, newest first, or their causes."""
    if options.assign is not None or options.comment is not None:
        return take_care(options)
    if options.by_cause:
        return by_cause(options)
    found = SyncError.objects.filter(state__in=OPEN_ERROR_STATES).select_related(
        "table_map"
    )
    if options.map:
        found = found.filter(table_map=find_map(options.map))
    if options.cause:
        owning.find_causes(options.cause)
        found = found.filter(cause__in=options.cause)
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


def by_cause(options: argparse.Namespace) -> Result:
    """Causes with open errors, those with most records first."""
    found = find_map(options.map) if options.map else None
    rows = causes(ErrorFilter(map_id=found.pk if found else None))
    if options.cause:
        owning.find_causes(options.cause)
        rows = rows.filter(pk__in=options.cause)
    document = documents(rows)
    if options.cause:
        for entry, cause in zip(document, rows, strict=True):
            entry["hidden"] = hidden.document(hidden.hidden_values(cause))
    lines = [
        [
            entry["id"],
            f"{entry['open']:,}",
            entry["map"],
            entry["code"],
            entry["column"] or "-",
            entry["text"],
        ]
        for entry in document
    ]
    text = (
        table(lines, ("id", "records", "map", "code", "column", "what is wrong"))
        if lines
        else "There are no open errors."
    )
    if options.cause and document:
        text = "\n\n".join([text, *map(_hidden, document)])
    return Result({"causes": document}, text)


def _hidden(cause: dict[str, Any]) -> str:
    found = cause["hidden"]
    rows = [[one["value"], f"{one['records']:,}"] for one in found["values"]]
    head = f"Cause {cause['id']}, values in its newest {found['sampled']:,} records"
    return f"{head}:\n{table(rows, ('value', 'records'))}" if rows else f"{head}: none"


def take_care(options: argparse.Namespace) -> Result:
    """Give causes to a person, and write about them."""
    if not options.cause:
        options.usage("name the causes: --cause ID")
    said = []
    if options.assign is not None:
        name = options.assign.strip()
        person = owning.find_person(name) if name else None
        owning.assign(options.cause, person)
        said.append(f"Assigned to {person or 'nobody'}.")
    if options.comment is not None:
        owning.comment(options.cause, options.comment)
        said.append("The comment was added.")
    chosen = owning.find_causes(options.cause)
    return Result({"causes": documents(chosen)}, " ".join(said))


def mend(options: argparse.Namespace, console: Console) -> Result:
    """Give the value an error misses a meaning, and retry."""
    error = SyncError.objects.filter(pk=options.id).first()
    if error is None:
        raise NotFound(f"There is no error with id {options.id}.")
    done = mending.mend(error, options.meaning)
    left, right = done.grown.pair
    versions = [
        {"map": one.table_map.name, "version": str(one)} for one in done.grown.versions
    ]
    names = ", ".join(f"{one['map']} ({one['version']})" for one in versions)
    noun = "error" if done.retried == 1 else "errors"
    return Result(
        {"pair": [left, right], "versions": versions, "retried": done.retried},
        f"{left} = {right} was added: new version of {names}. "
        f"Retrying {done.retried:,} {noun}.",
    )


def retry(options: argparse.Namespace, console: Console) -> Result:
    """Ask for another try of chosen errors."""
    number = services.retry(_chosen(options))
    noun = "error" if number == 1 else "errors"
    return Result({"retried": number}, f"Retrying {number:,} {noun}.")


def dismiss(options: argparse.Namespace, console: Console) -> Result:
    """Set chosen errors aside."""
    chosen = _chosen(options)
    if not options.yes:
        if options.as_json:
            return Result.failure(
                "confirmation_needed",
                "With --json nothing can be asked: add --yes.",
                code=2,
            )
        number = chosen.count()
        console.progress(
            f"{number:,} records stay different on both sides until they change again."
            "\nType dismiss to go on:"
        )
        if sys.stdin.readline().strip() != "dismiss":
            return Result.failure("not_confirmed", "Nothing was dismissed.")
    number = services.dismiss(chosen, reason=options.reason)
    noun = "error" if number == 1 else "errors"
    return Result({"dismissed": number}, f"{number:,} {noun} dismissed.")


def _chosen(options: argparse.Namespace) -> QuerySet[SyncError]:
    ways = [
        bool(options.ids),
        bool(options.map),
        bool(options.cause),
        options.everything,
    ]
    if sum(ways) != 1:
        options.usage("name error ids, or --map MAP, or --cause ID, or --all")
    return services.choose(
        ids=options.ids or None,
        table_map=find_map(options.map) if options.map else None,
        causes=options.cause,
        everything=options.everything,
    )
