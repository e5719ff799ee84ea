"""`dw apply` and `dw export`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import yaml

from portal.environments.queries import find_connection_set
from portal.management.reading import read_text
from portal.management.results import Add, Console, Result
from portal.maps import configuration
from portal.maps.models import TableMap
from portal.maps.queries import find_maps
from syncengine.mapping.files import parse_document
from syncengine.mapping.product_json import (
    beyond_product,
    dump_product_maps,
    product_document,
    summary,
)

PRODUCT = "dualwrite-json"
MARKS = {"create": "+", "update": "~", "unchanged": "="}


def register(add: Add) -> None:
    """Add the commands about files."""
    parser = add("apply", apply, "make the portal say what a file says")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--plan", action="store_true", help="show the difference, change nothing"
    )
    parser = add("export", export, "write the configuration, or some maps, as a file")
    parser.add_argument("maps", nargs="*", metavar="MAP")
    parser.add_argument("--format", choices=["yaml", PRODUCT], default="yaml")
    parser.add_argument(
        "--connection-set", metavar="NAME", help="only the maps of this one"
    )
    parser.set_defaults(usage=parser.error)


def apply(options: argparse.Namespace, console: Console) -> Result:
    """Apply a file, or with --plan say what applying would do."""
    text = read_text(options.file)
    document = parse_document(text, os.environ)
    differences = configuration.apply_document(document, plan=options.plan)
    changes = [d for d in differences if d.operation.value != "unchanged"]
    lines = []
    for change in changes:
        lines.append(
            f"{MARKS[change.operation.value]} {change.kind.value} {change.name}"
        )
        lines += [f"    {detail}" for detail in change.details]
    if not changes:
        lines.append("Nothing to change.")
    elif options.plan:
        lines.append("Nothing was changed: this is the plan.")
    return Result(
        {
            "plan": options.plan,
            "changed": bool(changes) and not options.plan,
            "differences": configuration.as_rows(differences),
        },
        "\n".join(lines),
    )


def export(options: argparse.Namespace, console: Console) -> Result:
    """Print what is stored as a file that `apply` takes."""
    maps = find_maps(options.maps) if options.maps else None
    if options.connection_set:
        if maps is not None:
            options.usage("give maps or --connection-set, not both")
        maps = list(find_connection_set(options.connection_set).maps.all())
    if options.format == PRODUCT:
        return _export_product(maps, console)
    text = configuration.export_document(maps)
    members = ("environments", "connection_sets", "value_maps", "maps")
    empty: dict[str, object] = {name: [] for name in members}
    return Result({**empty, **(yaml.safe_load(text) or {})}, text.rstrip("\n"))


def _export_product(maps: Sequence[TableMap] | None, console: Console) -> Result:
    """Maps as the original product writes them; what it would not take over is told
    on standard error."""
    definitions = [
        entry.table_map for entry in configuration.stored_document(maps).maps
    ]
    not_carried = []
    for definition in definitions:
        beyond = beyond_product(definition)
        for line in summary(beyond):
            console.progress(f"{definition.name}: not carried: {line}")
        not_carried += [
            {
                "map": definition.name,
                "place": leftover.place,
                "value": leftover.value,
                "reason": leftover.reason,
            }
            for leftover in beyond
        ]
    return Result(
        {
            "maps": [product_document(definition) for definition in definitions],
            "not_carried": not_carried,
        },
        dump_product_maps(definitions).rstrip("\n"),
    )
