"""`dw apply` and `dw export`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import yaml

from portal.management.results import Add, Console, Result
from portal.maps import configuration
from portal.maps.queries import find_maps
from portal.refusals import Refusal
from syncengine.mapping.files import parse_document

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
    parser.add_argument("--format", choices=["yaml"], default="yaml")


def apply(options: argparse.Namespace, console: Console) -> Result:
    """Apply a file, or with --plan say what applying would do."""
    try:
        text = Path(options.file).read_text(encoding="utf-8")
    except OSError as error:
        raise Refusal(
            f"{options.file} cannot be read: {error.strerror or error}.",
            code="file_unreadable",
        ) from error
    except UnicodeDecodeError as error:
        raise Refusal(
            f"{options.file} is not UTF-8 text.", code="file_unreadable"
        ) from error
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
    text = configuration.export_document(maps)
    empty = {"environments": [], "connection_sets": [], "maps": []}
    return Result({**empty, **(yaml.safe_load(text) or {})}, text.rstrip("\n"))
