"""`dw versions`."""

from __future__ import annotations

import argparse
from typing import Any

from portal.management.results import Add, Console, Result, table
from portal.maps.conversion import to_engine
from portal.maps.models import MapVersion, TableMap
from portal.maps.queries import find_map
from portal.maps.versions import find_version, use_version
from syncengine.mapping.comparison import Change, ColumnChange, compare_maps


def register(add: Add) -> None:
    """Add the versions of maps."""
    parser = add("versions", run_versions, "list, compare or change a map's versions")
    parser.add_argument("map", metavar="MAP")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="say what B changes in A",
    )
    what.add_argument(
        "--use", metavar="VERSION", help="make a stored version the current one"
    )


def run_versions(options: argparse.Namespace, console: Console) -> Result:
    """The history; with --compare a difference, with --use a change."""
    table_map = find_map(options.map)
    if options.compare:
        first, second = (find_version(table_map, text) for text in options.compare)
        return _compared(table_map, first, second)
    if options.use:
        return _used(table_map, find_version(table_map, options.use))
    versions = list(table_map.versions.select_related("created_by"))
    rows = [
        [
            one.version,
            one.publisher or "-",
            f"{one.created_at:%Y-%m-%d %H:%M}",
            one.created_by or "-",
            "current" if one.pk == table_map.version_id else "",
        ]
        for one in versions
    ]
    header = ("version", "publisher", "created (UTC)", "by", "")
    return Result(
        {
            "map": table_map.name,
            "connection_set": table_map.connection_set.name,
            "versions": [
                {
                    **_name(one),
                    "current": one.pk == table_map.version_id,
                    "created_at": one.created_at,
                    "created_by": str(one.created_by) if one.created_by else None,
                }
                for one in versions
            ],
        },
        table(rows, header) if rows else f"{table_map.name} has no version yet.",
    )


def _name(version: MapVersion) -> dict[str, str]:
    return {"publisher": version.publisher, "version": version.version}


def _compared(table_map: TableMap, first: MapVersion, second: MapVersion) -> Result:
    found = compare_maps(to_engine(first), to_engine(second))
    return Result(
        {
            "map": table_map.name,
            "from": _name(first),
            "to": _name(second),
            "equal": found.equal,
            "settings": [_change(change) for change in found.settings],
            "entries": [_change(change) for change in found.entries],
            "columns": [_column(change) for change in found.columns],
            "reordered": list(found.reordered),
        },
        "\n".join(found.lines()) or "The two versions are equal.",
    )


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "name": change.name,
        "before": change.before,
        "after": change.after,
    }


def _column(change: ColumnChange) -> dict[str, Any]:
    line = change.before or change.after
    return {
        "kind": change.kind.value,
        "finops": line.finops if line else None,
        "dataverse": line.dataverse if line else None,
        "settings": [_change(each) for each in change.settings],
        "values": [_change(each) for each in change.pairs],
        "values_reordered": change.reordered,
    }


def _used(table_map: TableMap, version: MapVersion) -> Result:
    previous = str(table_map.version)
    changed = use_version(table_map, version)
    return Result(
        {"map": table_map.name, "version": _name(version), "changed": changed},
        f"{table_map.name} is at version {version} now (was {previous})."
        if changed
        else f"{table_map.name} is at version {version} already.",
    )
