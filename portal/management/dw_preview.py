"""`dw preview`."""

from __future__ import annotations

import argparse

from portal.management.results import Add, Console, Result
from portal.maps.queries import find_map
from portal.runs.preview import MOST, SAMPLE, preview_map
from syncengine.mapping.model import Direction


def register(add: Add) -> None:
    """Add the command that tries a map on records."""
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
