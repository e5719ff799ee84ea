"""`dw compare`, `dw comparisons` and `dw compare-schedule`."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from portal.comparisons import documents, queries, schedules, services
from portal.comparisons.models import Comparison
from portal.comparisons.working import Outcome
from portal.environments.queries import find_connection_set
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_map
from portal.refusals import Refusal
from syncengine.mapping.model import Side

PROGRESS_ROWS = 100_000
LISTED = 20


def register(add: Add) -> None:
    """Add the commands about comparisons."""
    parser = add("compare", compare, "compare both sides of a map")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument(
        "--repair",
        choices=[*(side.value for side in Side), services.MASTER],
        help="write this side's rows over what differs on the other; master: the side "
        "that wins conflicts, or won the last initial sync",
    )
    parser.add_argument(
        "--delete-extra",
        action="store_true",
        help="with --repair, delete what only the losing side has",
    )
    parser.add_argument(
        "--rows-per-second",
        type=int,
        default=0,
        metavar="N",
        help="read no faster than that",
    )
    parser.add_argument(
        "--export", metavar="FILE", help="write the differences there as CSV"
    )
    parser = add("comparisons", history, "list comparisons of maps, newest first")
    parser.add_argument("map", metavar="MAP", nargs="?")
    parser.add_argument("--limit", type=int, default=LISTED, metavar="N")
    parser = add(
        "compare-schedule", schedule, "list, set or remove when maps are compared"
    )
    about = parser.add_mutually_exclusive_group()
    about.add_argument("--map", metavar="MAP", help="one map")
    about.add_argument("--set", metavar="SET", help="all running maps of a set")
    parser.add_argument("--at", metavar="HH:MM", help="each day at this time, UTC")
    parser.add_argument("--rows-per-second", type=int, default=0, metavar="N")
    parser.add_argument("--off", action="store_true", help="remove the schedule")


def compare(options: argparse.Namespace, console: Console) -> Result:
    """Compare; exit 1 when anything differs (after a repair: still differs)."""

    def progress(rows: int) -> None:
        if rows >= PROGRESS_ROWS:
            console.progress(f"{rows // PROGRESS_ROWS * PROGRESS_ROWS} rows read")

    if options.rows_per_second < 0:
        raise Refusal("--rows-per-second must be above 0.", code="bad_limit")
    if options.delete_extra and not options.repair:
        raise Refusal("--delete-extra needs --repair.", code="bad_usage")
    done = services.compare_map(
        find_map(options.map),
        options.repair or "",
        delete_extra=options.delete_extra,
        rows_per_second=options.rows_per_second,
        on_progress=progress,
    )
    document = documents.outcome_document(done)
    if options.export:
        document["exported"] = _export(done.comparison, Path(options.export))
    return Result(document, _compare_text(done, document), code=int(not done.in_step))


def _export(comparison: Comparison, path: Path) -> str:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(queries.CSV_COLUMNS)
            writer.writerows(queries.csv_rows(comparison))
    except OSError as error:
        raise Refusal(
            f"{path} cannot be written ({error.strerror or error}).",
            code="file_not_written",
        ) from error
    return str(path)


def _compare_text(done: Outcome, document: dict[str, Any]) -> str:
    lines = [
        f"{document['map']}: {document['compared']} compared, {document['equal']} "
        f"equal, {document['missing_in_finops']} missing in finops, "
        f"{document['missing_in_dataverse']} missing in dataverse, "
        f"{document['different']} different."
    ]
    if document["unclaimed"]:
        lines.append(
            f"  {document['unclaimed']} more on the side that is written only, which "
            "this map does not bring."
        )
    for example in document["examples"]:
        key = " / ".join("" if part is None else str(part) for part in example["key"])
        columns = "; ".join(
            f"{c['column']}: finops {c['finops']!r}, dataverse {c['dataverse']!r}"
            for c in example["columns"]
        )
        rest = columns or example["reason"]
        lines.append(f"  {example['kind']} {key}{': ' + rest if rest else ''}")
    repaired = document.get("repaired")
    if repaired:
        lines.append(
            f"Repaired from {repaired['winner']}: {repaired['inserted']} inserted, "
            f"{repaired['updated']} updated, {repaired['deleted']} deleted, "
            f"{repaired['failed']} failed, {repaired['extra']} only on the losing "
            "side (left alone)."
        )
        lines += [
            f"  {' / '.join(str(part) for part in failure['key'])}: "
            f"{failure['message']}"
            for failure in repaired["failures"]
        ]
    elif done.in_step:
        lines.append("Both sides are equal.")
    return "\n".join(lines)


def history(options: argparse.Namespace, console: Console) -> Result:
    """Comparisons, newest first."""
    chosen = find_map(options.map) if options.map else None
    found = queries.history(chosen)[: max(1, options.limit)]
    document = [documents.comparison_document(one) for one in found]
    rows = [
        [
            one["id"],
            one["map"],
            one["state"],
            f"{one['started_at']:%Y-%m-%d %H:%M}" if one["started_at"] else "-",
            one["compared"],
            one["different"],
            one["missing_in_finops"],
            one["missing_in_dataverse"],
            one["repaired_from"] or "-",
        ]
        for one in document
    ]
    header = (
        *("id", "map", "state", "started", "compared", "different"),
        *("missing in finops", "missing in dataverse", "repaired from"),
    )
    text = table(rows, header) if rows else "Nothing has been compared yet."
    return Result({"comparisons": document}, text)


def schedule(options: argparse.Namespace, console: Console) -> Result:
    """Schedules; or set or remove one."""
    table_map = find_map(options.map) if options.map else None
    about = find_connection_set(options.set) if options.set else None
    if table_map is not None:
        about = table_map.connection_set
    if (options.at or options.off) and about is None:
        raise Refusal("Say which: --map MAP or --set SET.", code="bad_usage")
    if about is not None and options.off:
        schedules.remove(about, table_map)
    elif about is not None and options.at:
        hour, minute = _time(options.at)
        schedules.save(
            about,
            table_map,
            hour=hour,
            minute=minute,
            rows_per_second=max(0, options.rows_per_second),
        )
    document = [documents.schedule_document(one) for one in queries.all_schedules()]
    rows = [
        [
            one["connection_set"],
            one["map"] or "all running maps",
            one["at"] + ("" if one["enabled"] else " (off)"),
            one["rows_per_second"] or "no limit",
        ]
        for one in document
    ]
    header = ("set", "map", "daily at (UTC)", "rows a second")
    text = table(rows, header) if rows else "Nothing is compared by itself."
    return Result({"schedules": document}, text)


def _time(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and (minute or "0").isdecimal()):
        raise Refusal(f"{text} is no time; write it like 02:00.", code="bad_time")
    return int(hour), int(minute or "0")
