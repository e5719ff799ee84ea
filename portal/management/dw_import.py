"""`dw import`."""

from __future__ import annotations

import argparse

from portal.environments.queries import choose_connection_set
from portal.management.dw_configuration import MARKS
from portal.management.reading import read_text
from portal.management.results import Add, Console, Result
from portal.maps.map_files import read_map_files
from portal.maps.product_files import import_maps
from syncengine.mapping.product_json import summary


def register(add: Add) -> None:
    """Add the import of map files."""
    parser = add("import", run_import, "take over maps from files")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--plan", action="store_true", help="show what would be done, change nothing"
    )
    parser.add_argument(
        "--connection-set", metavar="NAME", help="where the maps belong"
    )


def run_import(options: argparse.Namespace, console: Console) -> Result:
    """Import all files or none, and list what could not be carried."""
    connection_set = choose_connection_set(options.connection_set)
    texts = [(file, read_text(file)) for file in dict.fromkeys(options.files)]
    files = read_map_files(texts, connection_set.name)
    imported = import_maps(connection_set, files, plan=options.plan)
    lines, rows = [], []
    for change in imported.value_maps:
        lines.append(f"{MARKS[change.operation.value]} value map {change.name}")
        lines += [f"    {detail}" for detail in change.details]
    for done in imported.maps:
        operation = done.difference.operation.value
        lines.append(f"{MARKS[operation]} map {done.difference.name} ({done.file})")
        lines += [f"    {detail}" for detail in done.difference.details]
        lines += [f"    {note}" for note in done.notes]
        lines += [f"    not carried: {line}" for line in summary(done.leftovers)]
        rows.append(
            {
                "file": done.file,
                "name": done.name,
                "connection_set": connection_set.name,
                "operation": operation,
                "details": list(done.difference.details),
                "notes": list(done.notes),
                "not_carried": [
                    {
                        "place": leftover.place,
                        "value": leftover.value,
                        "reason": leftover.reason,
                    }
                    for leftover in done.leftovers
                ],
            }
        )
    if options.plan:
        lines.append("Nothing was changed: this is the plan.")
    value_maps = [
        {
            "name": change.name,
            "operation": change.operation.value,
            "details": list(change.details),
        }
        for change in imported.value_maps
    ]
    document = {"plan": options.plan, "value_maps": value_maps, "maps": rows}
    return Result(document, "\n".join(lines))
