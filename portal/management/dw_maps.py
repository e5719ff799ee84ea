"""`dw status`, `run`, `stop`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from portal.environments.queries import unacknowledged
from portal.management.following import complaints, follow
from portal.management.results import Add, Console, Result, table
from portal.maps import queries, services
from portal.maps.dependents import running_dependents
from portal.maps.models import MapState, TableMap
from portal.runs.figures import RunFigures
from portal.runs.services import COUNTS
from syncengine.mapping.model import Side

ACKNOWLEDGE_SECONDS = 5.0
POLL_SECONDS = 0.1
SIDES = [side.value for side in Side]


def register(add: Add) -> None:
    """Add the commands about maps."""
    add("status", status, "show every connection set, stream and map")
    parser = add("run", run, "run maps, with an initial sync")
    parser.add_argument("maps", nargs="+", metavar="MAP")
    parser.add_argument(
        "--skip-initial-sync", action="store_true", help="go live without copying"
    )
    parser.add_argument(
        "--master", choices=SIDES, help="who wins where both sides have a record"
    )
    parser.add_argument(
        "--related", action="store_true", help="also run the maps these depend on"
    )
    _add_run_options(parser)
    parser.add_argument("--wait", action="store_true", help="return when the maps run")
    parser = add("stop", act, "end maps; queued changes are thrown away")
    parser.add_argument("maps", nargs="+", metavar="MAP")
    parser.add_argument(
        "--related", action="store_true", help="also the running maps that refer to it"
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="MAP",
        help="with --related, do not run this one (may be given several times)",
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="MAP",
        help="let this map go live without copying (several times)",
    )
    parser.add_argument(
        "--master-of",
        action="append",
        default=[],
        metavar="MAP=SIDE",
        help="who wins in this map (several times)",
    )
    parser.add_argument(
        "--in-this-order",
        action="store_true",
        help="copy the maps in the order given instead of parents first",
    )
    parser.add_argument(
        "--approve-filters",
        action="store_true",
        help="run although a new filter leaves out many rows",
    )
    parser.add_argument(
        "--new-rows-only",
        action="store_true",
        help="leave rows both sides have, and records with an error, as they are",
    )
    parser.add_argument(
        "--max-errors",
        type=int,
        metavar="N",
        help="end the copy of a map when more records of one direction fail",
    )
    parser.add_argument(
        "--max-error-percent",
        metavar="P",
        help="end the copy of a map when a larger share fails",
    )
    parser.set_defaults(usage=parser.error)


def status(options: argparse.Namespace, console: Console) -> Result:
    """Everything at a glance."""
    document = queries.status()
    lines: list[str] = []
    for entry in document["connection_sets"]:
        lines.append(f"{entry['name']}: {entry['state']}")
        lines += [
            f"  from {stream['source']}: {stream['state']}{_lag(stream)}"
            for stream in entry["streams"]
        ]
        rows = [
            [
                f"  {row['name']}",
                row["state"] + (f" ({row['reason']})" if row["reason"] else ""),
                row["version"] or "-",
                row["rows_synced"],
                row["open_errors"],
                row["queued"],
            ]
            for row in entry["maps"]
        ]
        lines.append(
            table(rows, ("  map", "state", "version", "rows", "errors", "queued"))
        )
    return Result(document, "\n".join(lines) or "There are no connection sets yet.")


def _lag(stream: dict[str, Any]) -> str:
    text = ""
    if stream["lag_seconds"] is not None:
        text += f", {stream['lag_seconds']:.1f} s behind"
    if stream["canary_seconds"] is not None:
        text += f", {stream['canary_seconds'] * 1000:.0f} ms end to end"
    if stream["stalled"]:
        text += ", stalled: nothing comes through"
    if stream["synchronous"] != "off":
        text += f", synchronous mode {stream['synchronous'].replace('_', ' ')}"
    if stream["message"]:
        text += f" ({stream['message']})"
    return text


def act(options: argparse.Namespace, console: Console) -> Result:
    """Stop, and let the streams take it in."""
    maps = queries.find_maps(options.maps)
    if options.related:
        maps += running_dependents(maps)
    result = services.perform(options.command, maps)
    await_streams(result.changed)
    return Result(action_document(result), action_text(result))


def run(options: argparse.Namespace, console: Console) -> Result:
    """Run maps; with --wait, until they do."""
    result = services.run(
        queries.find_maps(options.maps), options=_run_options(options)
    )
    for warned in result.warnings:
        finding = warned.finding
        console.progress(
            f"warning {finding.code} {warned.map_name} {finding.place}: "
            f"{finding.message} {finding.cure}"
        )
    if not options.wait:
        return Result(action_document(result), action_text(result))
    return _wait(result, console)


def _run_options(options: argparse.Namespace) -> services.RunOptions:
    pairs = [text.rpartition("=") for text in options.master_of]
    for name, _, side in pairs:
        if not name or side not in SIDES:
            options.usage("--master-of takes MAP=finops or MAP=dataverse")
    chosen = queries.find_maps(options.maps) if options.in_this_order else []
    try:
        percent = (
            None
            if options.max_error_percent is None
            else float(options.max_error_percent.rstrip("%"))
        )
    except ValueError:
        options.usage("--max-error-percent takes a number, like 0.5")
    return services.RunOptions(
        skip_initial_sync=options.skip_initial_sync,
        master=Side(options.master) if options.master else services.DEFAULT_MASTER,
        related=options.related,
        masters={queries.find_map(name).pk: Side(side) for name, _, side in pairs},
        skipped=_ids(options.skip),
        order=[table_map.pk for table_map in chosen],
        without=_ids(options.without),
        new_rows_only=options.new_rows_only,
        error_limit=options.max_errors,
        error_percent=percent,
        approve_filters=options.approve_filters,
    )


def _ids(names: Sequence[str]) -> frozenset[int]:
    return frozenset(table_map.pk for table_map in queries.find_maps(names))


def _wait(result: services.ActionResult, console: Console) -> Result:
    maps = _all(result)
    runs = follow(maps, result.correlation_id, console)
    document = action_document(result)
    by_map = {one.run.table_map_id: one for one in runs}
    for entry, table_map in zip(document["maps"], maps, strict=True):
        found = by_map.get(table_map.pk)
        if found is not None:
            entry["run"] = _run_document(found)
    names = {table_map.pk: table_map.name for table_map in maps}
    wrong = [
        f"{table_map.name} is {table_map.get_state_display()}, not Running."
        for table_map in maps
        if table_map.state != MapState.RUNNING
    ] + complaints(runs, names.__getitem__)
    return Result(
        document,
        action_text(result),
        code=1 if wrong else 0,
        error="\n".join([*wrong, "See 'dw errors'."]) if wrong else "",
    )


def _run_document(one: RunFigures) -> dict[str, Any]:
    """Here `unchanged` counts all rows that were there already, those left alone
    (`skipped`) included, as it always has."""
    whole = one.document()
    whole["unchanged"] += whole["skipped"]
    wanted = ("id", "state", "outcome", "message", "planned", *COUNTS)
    return {name: whole[name] for name in wanted}


def await_streams(maps: Sequence[TableMap]) -> None:
    """Give living streams a moment to behave as the new state says."""
    sets = sorted({table_map.connection_set_id for table_map in maps})
    deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
    while sets and unacknowledged(sets).exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _all(result: services.ActionResult) -> list[TableMap]:
    return [*result.changed, *result.unchanged]


def action_document(result: services.ActionResult) -> dict[str, Any]:
    changed = {table_map.pk for table_map in result.changed}
    return {
        "action": result.action.value,
        "correlation_id": result.correlation_id,
        "discarded": result.discarded,
        "maps": [
            {
                "name": table_map.name,
                "connection_set": table_map.connection_set.name,
                "state": table_map.state,
                "changed": table_map.pk in changed,
            }
            for table_map in _all(result)
        ],
        "warnings": [
            {
                "map": warned.map_name,
                "code": warned.finding.code,
                "place": warned.finding.place,
                "message": warned.finding.message,
                "cure": warned.finding.cure,
            }
            for warned in result.warnings
        ],
    }


def action_text(result: services.ActionResult) -> str:
    lines = [f"{m.name}: {m.get_state_display()}" for m in result.changed]
    lines += [f"{m.name}: {m.get_state_display()} already" for m in result.unchanged]
    if result.discarded:
        lines.append(f"{result.discarded} queued changes thrown away")
    return "\n".join(lines)
