"""`dw compare` and `dw preview`."""

from __future__ import annotations

import argparse
from typing import Any

from portal.management.results import Add, Console, Result
from portal.maps.queries import find_map
from portal.runs.reconcile import (
    MOST,
    SAMPLE,
    Comparison,
    compare_map,
    preview_map,
)
from syncengine.mapping.model import Direction, Side

PROGRESS_ROWS = 100_000


def register(add: Add) -> None:
    """Add the commands that look at rows."""
    parser = add("compare", compare, "compare both sides of a map")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument(
        "--repair",
        choices=[side.value for side in Side],
        help="write this side's rows over what differs on the other",
    )
    parser = add("preview", preview, "show what a map would do with records")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument("--key", metavar="K", help="the record's key, joined by ' / '")
    parser.add_argument(
        "--direction", choices=[way.value for way in Direction], help="only this way"
    )
    parser.add_argument(
        "--sample",
        type=int,
        choices=range(1, MOST + 1),
        metavar="N",
        default=SAMPLE,
        help=f"how many records without --key, {MOST} at most",
    )


def compare(options: argparse.Namespace, console: Console) -> Result:
    """Compare; exit 1 when anything differs (after a repair: still differs)."""

    def progress(rows: int) -> None:
        if rows >= PROGRESS_ROWS:
            console.progress(f"{rows // PROGRESS_ROWS * PROGRESS_ROWS} rows read")

    done = compare_map(
        find_map(options.map), winner=options.repair, on_progress=progress
    )
    document = done.document()
    return Result(document, _compare_text(done, document), code=int(not done.in_step))


def _compare_text(done: Comparison, document: dict[str, Any]) -> str:
    lines = [
        f"{document['map']}: {document['compared']} compared, {document['equal']} "
        f"equal, {document['missing_in_finops']} missing in finops, "
        f"{document['missing_in_dataverse']} missing in dataverse, "
        f"{document['different']} different."
    ]
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
            f"Repaired: {repaired['inserted']} inserted, {repaired['updated']} updated,"
            f" {repaired['failed']} failed, {repaired['extra']} only on the losing "
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


def preview(options: argparse.Namespace, console: Console) -> Result:
    """Show source, result and target of records."""
    document = preview_map(
        find_map(options.map),
        options.key,
        direction=Direction(options.direction) if options.direction else None,
        sample=options.sample,
    ).document()
    lines: list[str] = []
    for entry in document["directions"]:
        lines.append(f"{document['map']}, {entry['direction']}:")
        if not entry["records"]:
            lines.append("  no record in scope")
        for record in entry["records"]:
            lines.append("  " + " / ".join(str(part) for part in record["key"]))
            if record["error"]:
                lines.append(f"    fails: {record['error']['message']}")
                continue
            state = "new on the other side" if record["target"] is None else ""
            lines += [f"    {state}"] if state else []
            lines += [
                f"    {'*' if column in record['differences'] else ' '} {column}: "
                f"{(record['target'] or {}).get(column)!r} -> {value!r}"
                for column, value in record["result"].items()
            ]
    return Result(document, "\n".join(lines))
