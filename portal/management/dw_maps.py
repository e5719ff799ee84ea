"""`dw status`, `run`, `pause`, `resume`, `stop`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from django.db.models import Sum

from portal.environments.queries import heard_within, unacknowledged
from portal.management.results import Add, Console, Result, table
from portal.maps import queries, services
from portal.maps.models import MapState, TableMap
from portal.runs.models import (
    ACTIVE_RUN_STATES,
    InitialSyncRun,
    LegRun,
    RunState,
)
from syncengine.mapping.model import Side

ACKNOWLEDGE_SECONDS = 5.0
POLL_SECONDS = 0.1
HINT_SECONDS = 15.0
SIDES = [side.value for side in Side]
COUNTS = ("exported", "inserted", "updated", "unchanged", "failed")


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
    parser.add_argument("--wait", action="store_true", help="return when the maps run")
    for name, help in (
        ("pause", "queue the changes of maps"),
        ("resume", "write what was queued and go on"),
        ("stop", "end maps; queued changes are thrown away"),
    ):
        add(name, act, help).add_argument("maps", nargs="+", metavar="MAP")


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
    if stream["message"]:
        text += f" ({stream['message']})"
    return text


def act(options: argparse.Namespace, console: Console) -> Result:
    """Pause, resume or stop, and let the streams take it in."""
    maps = queries.find_maps(options.maps)
    result = services.perform(options.command, maps)
    _await_streams(result.changed)
    return Result(_document(result), _text(result))


def run(options: argparse.Namespace, console: Console) -> Result:
    """Run maps; with --wait, until they do."""
    result = services.run(
        queries.find_maps(options.maps),
        skip_initial_sync=options.skip_initial_sync,
        master=options.master,
        related=options.related,
    )
    for warned in result.warnings:
        finding = warned.finding
        console.progress(
            f"warning {finding.code} {warned.map_name} {finding.place}: "
            f"{finding.message} {finding.cure}"
        )
    if not options.wait:
        return Result(_document(result), _text(result))
    return _wait([*result.changed, *result.unchanged], result, console)


def _wait(
    maps: Sequence[TableMap], result: services.ActionResult, console: Console
) -> Result:
    ids = [table_map.pk for table_map in maps]
    on_the_way = (MapState.INITIALIZING, MapState.RESUMING)
    progress = _Progress(console)
    while True:
        present = list(TableMap.objects.filter(pk__in=ids).select_related(None))
        waiting = [m for m in present if m.state in on_the_way]
        runs = _runs(ids, result.correlation_id)
        progress.tell(present, runs)
        if not waiting and not any(r["state"] in ACTIVE_RUN_STATES for r in runs):
            break
        time.sleep(POLL_SECONDS)
    states = {table_map.pk: table_map.state for table_map in present}
    for table_map in maps:
        table_map.state = states[table_map.pk]
    document = _document(result)
    by_map = {run["map_id"]: run for run in runs}
    for entry, table_map in zip(document["maps"], _all(result), strict=True):
        found = by_map.get(table_map.pk)
        if found is not None:
            entry["run"] = {k: v for k, v in found.items() if k != "map_id"}
    complaints = [
        f"{table_map.name} is {table_map.get_state_display()}, not Running."
        for table_map in maps
        if table_map.state != MapState.RUNNING
    ]
    names = {table_map.pk: table_map.name for table_map in maps}
    complaints += [
        f"{names[run['map_id']]}: {run['failed']} of {run['exported']} records failed."
        if run["failed"]
        else f"{names[run['map_id']]}: the initial sync {run['state']}. "
        f"{run['message']}".rstrip()
        for run in runs
        if run["failed"] or run["state"] != RunState.COMPLETED
    ]
    return Result(
        document,
        _text(result),
        code=1 if complaints else 0,
        error="\n".join([*complaints, "See 'dw errors'."]) if complaints else "",
    )


def _runs(map_ids: Sequence[int], correlation_id: str) -> list[dict[str, Any]]:
    """The runs this command started, with their counts."""
    newest = InitialSyncRun.objects.filter(
        table_map__in=map_ids, correlation_id=correlation_id
    ).order_by("id")
    sums = {
        row["run"]: row
        for row in LegRun.objects.filter(run__in=newest)
        .order_by()
        .values("run")
        .annotate(planned=Sum("total"), **{f"sum_{name}": Sum(name) for name in COUNTS})
    }
    return [
        {
            "map_id": run.table_map_id,
            "id": run.pk,
            "state": run.state,
            "message": run.message,
            "planned": sums.get(run.pk, {}).get("planned") or 0,
            **{name: sums.get(run.pk, {}).get(f"sum_{name}") or 0 for name in COUNTS},
        }
        for run in newest
    ]


class _Progress:
    """Tells, map by map, what changed since it last told; and that nobody works."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[int, str] = {}
        self._silent_since = time.monotonic()

    def tell(self, maps: Sequence[TableMap], runs: Sequence[dict[str, Any]]) -> None:
        """Say what is new."""
        by_map = {run["map_id"]: run for run in runs}
        for table_map in maps:
            line = f"{table_map.name}: {table_map.get_state_display()}"
            found = by_map.get(table_map.pk)
            if found is not None and table_map.state == MapState.INITIALIZING:
                line += f" ({found['state']}"
                line += f", {found['exported']} of {found['planned']} rows)"
            if self._told.get(table_map.pk) != line:
                self._told[table_map.pk] = line
                self._silent_since = time.monotonic()
                self._console.progress(line)
        if time.monotonic() - self._silent_since > HINT_SECONDS and not (
            heard_within([m.connection_set_id for m in maps], HINT_SECONDS)
        ):
            self._console.progress(
                "No worker has been heard of: make sure that a worker and beat are "
                "running. Still waiting."
            )


def _await_streams(maps: Sequence[TableMap]) -> None:
    """Give living streams a moment to behave as the new state says."""
    sets = sorted({table_map.connection_set_id for table_map in maps})
    deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
    while sets and unacknowledged(sets).exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _all(result: services.ActionResult) -> list[TableMap]:
    return [*result.changed, *result.unchanged]


def _document(result: services.ActionResult) -> dict[str, Any]:
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


def _text(result: services.ActionResult) -> str:
    lines = [f"{m.name}: {m.get_state_display()}" for m in result.changed]
    lines += [f"{m.name}: {m.get_state_display()} already" for m in result.unchanged]
    if result.discarded:
        lines.append(f"{result.discarded} queued changes thrown away")
    return "\n".join(lines)
