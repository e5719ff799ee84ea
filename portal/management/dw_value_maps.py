"""`dw value-maps`."""

from __future__ import annotations

import argparse
import sys

from portal.management.reading import read_text
from portal.management.results import Add, Console, Result, table
from portal.maps import shared_values, value_maps
from portal.maps.models import SharedValueMap
from portal.refusals import Refusal
from syncengine import catalog
from syncengine.mapping.value_pairs import ambiguities, read_pairs, write_pairs


def register(add: Add) -> None:
    """Add the shared value maps."""
    parser = add("value-maps", run_value_maps, "list or change shared value maps")
    parser.add_argument("name", nargs="?", metavar="NAME")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--set",
        metavar="FILE",
        dest="pairs",
        help="make or change it: a pair a line, with a tab or comma between; - reads "
        "standard input",
    )
    what.add_argument(
        "--add", action="store_true", help="take over the ready-made one of this name"
    )
    parser.set_defaults(usage=parser.error)


def run_value_maps(options: argparse.Namespace, console: Console) -> Result:
    """The list or one value map; with an option a change."""
    if options.name is None:
        if options.pairs or options.add:
            options.usage("which value map? give its NAME")
        return _list()
    if options.add:
        made = value_maps.add_ready_made(options.name)
        return Result(
            {"value_map": made.name, "added": True}, f"{made.name} was added."
        )
    if options.pairs:
        return _save(options.name, options.pairs, console)
    return _show(shared_values.find_value_map(options.name))


def _list() -> Result:
    users = shared_values.users_by_name()
    stored = list(SharedValueMap.objects.prefetch_related("pairs"))
    taken = {one.name.casefold() for one in stored}
    rows: list[list[object]] = [
        [one.name, len(one.pairs.all()), len(users.get(one.name, ())), ""]
        for one in stored
    ]
    ready = catalog.value_maps()
    rows += [
        [one.value_map.name, len(one.value_map.values), "-", f"ready-made: {one.about}"]
        for one in ready
        if one.value_map.name.casefold() not in taken
    ]
    return Result(
        {
            "value_maps": [
                {
                    "name": one.name,
                    "pairs": len(one.pairs.all()),
                    "maps": [
                        f"{each.connection_set.name}/{each.name}"
                        for each in users.get(one.name, ())
                    ],
                    "changed_at": one.changed_at,
                }
                for one in stored
            ],
            "ready_made": [
                {
                    "name": one.value_map.name,
                    "about": one.about,
                    "pairs": len(one.value_map.values),
                    "present": one.value_map.name.casefold() in taken,
                }
                for one in ready
            ],
        },
        table(rows, ("value map", "pairs", "maps", "")),
    )


def _show(stored: SharedValueMap) -> Result:
    pairs = shared_values.as_pairs(stored.pairs.all())
    return Result(
        {
            "name": stored.name,
            "values": [list(pair) for pair in pairs],
            "notes": ambiguities(pairs),
            "maps": [
                {
                    "map": one.name,
                    "connection_set": one.connection_set.name,
                    "state": one.state,
                }
                for one in shared_values.users_of(stored.name)
            ],
        },
        write_pairs(pairs).rstrip("\n"),
    )


def _save(name: str, path: str, console: Console) -> Result:
    given = read_pairs(sys.stdin.read() if path == "-" else read_text(path))
    if given.problems:
        raise Refusal(
            f"The value map {name} cannot be saved.",
            code="value_map_invalid",
            reasons=given.problems,
        )
    for note in given.notes:
        console.progress(note)
    done = value_maps.save(name, given.pairs)
    lines = [f"{done.value_map.name} was {'made' if done.created else 'changed'}."]
    lines += [f"    {change}" for change in done.changes]
    lines += [
        f"{one.table_map.connection_set.name}/{one.table_map.name}: version "
        f"{one.version}"
        for one in done.versions
    ]
    if not done.changed:
        lines = [f"{done.value_map.name} has these pairs already."]
    return Result(
        {
            "value_map": done.value_map.name,
            "created": done.created,
            "changed": done.changed,
            "changes": list(done.changes),
            "notes": list(given.notes),
            "versions": [
                {
                    "map": one.table_map.name,
                    "connection_set": one.table_map.connection_set.name,
                    "version": one.version,
                }
                for one in done.versions
            ],
        },
        "\n".join(lines),
    )
