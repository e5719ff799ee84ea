"""`dw examples`."""

from __future__ import annotations

import argparse

from portal.editor import examples, services
from portal.management.results import Add, Console, Result
from portal.maps.preparation import definition
from portal.maps.queries import find_map


def register(add: Add) -> None:
    """Add the examples of maps."""
    parser = add("examples", run, "run the examples that a map carries")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument(
        "--draft", action="store_true", help="those of the draft, on the draft"
    )


def run(options: argparse.Namespace, console: Console) -> Result:
    """Say of each example whether it holds; fails when one does not."""
    table_map = find_map(options.map)
    if options.draft:
        wanted = services.read(services.draft_or_refuse(table_map)).definition
    else:
        wanted = definition(table_map)
    results = examples.run(table_map, wanted)
    lines = []
    for one in results:
        lines.append(f"{'holds' if one.holds else 'FAILS'}  {one.example.name}")
        if one.trouble:
            lines.append(f"         {one.trouble}")
        lines += [
            f"         {each.column}: {each.expected!r} is expected, {each.got!r} made"
            for each in one.unlike
        ]
    return Result(
        {"map": table_map.name, "examples": examples.document(results)},
        "\n".join(lines) or f"{table_map.name} carries no example.",
        code=0 if all(one.holds for one in results) else 1,
    )
