"""`dw import`."""

from __future__ import annotations

import argparse

from portal.environments.queries import choose_connection_set
from portal.management.dw_configuration import MARKS
from portal.management.reading import read_text
from portal.management.results import Add, Console, Result
from portal.maps.product_files import import_maps
from portal.refusals import Refusal
from syncengine.mapping.product_json import (
    FileError,
    ImportedMap,
    parse_product_maps,
    summary,
)


def register(add: Add) -> None:
    """Add the import of map files."""
    parser = add("import", run_import, "take over map files of the original product")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--connection-set", metavar="NAME", help="where the maps belong"
    )


def run_import(options: argparse.Namespace, console: Console) -> Result:
    """Import all files or none, and list what could not be carried."""
    connection_set = choose_connection_set(options.connection_set)
    found = _read(options.files)
    imports = import_maps(connection_set, [imported for _, imported in found])
    lines, rows = [], []
    for (file, _), done in zip(found, imports, strict=True):
        operation = done.difference.operation.value
        lines.append(f"{MARKS[operation]} map {done.difference.name} ({file})")
        lines += [f"    {detail}" for detail in done.difference.details]
        lines += [f"    {note}" for note in done.notes]
        lines += [f"    not carried: {line}" for line in summary(done.leftovers)]
        rows.append(
            {
                "file": file,
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
    return Result({"maps": rows}, "\n".join(lines))


def _read(files: list[str]) -> list[tuple[str, ImportedMap]]:
    found, problems = [], []
    for file in dict.fromkeys(files):
        text = read_text(file)
        try:
            found += [(file, imported) for imported in parse_product_maps(text)]
        except FileError as error:
            problems += [f"{file}, {problem}" for problem in error.problems]
    if problems:
        raise Refusal(
            "The files cannot be imported; nothing was changed. YAML is for 'dw apply'."
            if any("not JSON" in problem for problem in problems)
            else "The files cannot be imported; nothing was changed.",
            code=FileError.code,
            reasons=problems,
        )
    return found
