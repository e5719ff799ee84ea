"""`dw catalog`."""

from __future__ import annotations

import argparse

from portal.environments.queries import choose_connection_set
from portal.management.results import Add, Console, Result, table
from portal.maps.ready_made import Installation, install
from syncengine import catalog

ARROWS = {"both": "<>", "finops_to_dataverse": ">", "dataverse_to_finops": "<"}


def register(add: Add) -> None:
    """Add the ready-made maps."""
    parser = add("catalog", run_catalog, "list or install ready-made maps")
    parser.add_argument(
        "--install",
        nargs="+",
        metavar="MAP|PACKAGE",
        help="add maps, or all of a package, with the maps they refer to",
    )
    parser.add_argument(
        "--connection-set",
        metavar="NAME",
        help="where to install, if there are several",
    )
    parser.set_defaults(usage=parser.error)


def run_catalog(options: argparse.Namespace, console: Console) -> Result:
    """List everything there is or, with --install, add maps to a connection set."""
    if options.install:
        connection_set = choose_connection_set(options.connection_set)
        return _installed(install(connection_set, options.install))
    if options.connection_set:
        options.usage("--connection-set goes with --install")
    entries = catalog.entries()
    rows = [
        [
            f"{entry.name} -> {entry.dataverse_table}"
            if not entry.name.endswith(f"({entry.dataverse_table})")
            else f"{entry.finops_entity} -> {entry.dataverse_table}",
            entry.package,
            entry.concept,
            len(entry.columns),
            ARROWS[entry.direction],
        ]
        for entry in entries
    ]
    header = ("map", "package", "concept", "columns", "direction")
    return Result(
        {"catalog": [_entry(entry) for entry in entries]},
        table(rows, header),
    )


def _entry(entry: catalog.CatalogEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "finops_entity": entry.finops_entity,
        "finops_table": entry.finops_table,
        "dataverse_table": entry.dataverse_table,
        "package": entry.package,
        "concept": entry.concept,
        "direction": entry.direction,
        "columns": len(entry.columns),
        "company_specific": entry.company_specific,
        "key": [[pair.finops, pair.dataverse] for pair in entry.key],
        "key_confidence": entry.confidence,
        "related_maps": list(entry.related),
        "corrections": [
            {
                "place": correction.place,
                "reference": correction.reference,
                "corrected": correction.corrected,
                "reason": correction.reason,
            }
            for correction in entry.corrections
        ],
    }


def _installed(done: Installation) -> Result:
    lines = [f"+ map {done.connection_set.name}/{m.name}" for m in done.installed]
    lines += [
        f"= map {done.connection_set.name}/{table_map.name} is there already"
        + ("" if table_map.name == entry.name else f" for {entry.name}")
        for entry, table_map in done.present
    ]
    return Result(
        {
            "connection_set": done.connection_set.name,
            "installed": [table_map.name for table_map in done.installed],
            "present": [
                {"name": entry.name, "map": table_map.name}
                for entry, table_map in done.present
            ],
        },
        "\n".join(lines),
    )
