"""`dw unlink` and `dw delete`: both ask for the name first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from portal.environments import services as environments
from portal.environments.queries import find_connection_set, find_environment
from portal.management.results import Add, Console, Result
from portal.maps import services as maps
from portal.maps import value_maps
from portal.maps.queries import find_map
from portal.maps.shared_values import find_value_map


def register(add: Add) -> None:
    """Add the commands that take things away."""
    parser = add(
        "unlink",
        unlink,
        "end a connection set and remove what it installed in both databases",
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--force",
        action="store_true",
        help="remove it here even where a database cannot be cleaned up",
    )
    _add_yes(parser)
    parser = add(
        "delete", delete, "delete a map, a value map, or an environment without links"
    )
    parser.add_argument("what", choices=["map", "environment", "value-map"])
    parser.add_argument("name", metavar="NAME")
    _add_yes(parser)


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


def unlink(options: argparse.Namespace, console: Console) -> Result:
    """Unlink a set; with --force, print what somebody must still remove."""
    connection_set = find_connection_set(options.name)
    refused = confirm(
        options,
        console,
        connection_set.name,
        f"This ends {connection_set.name} and deletes its "
        f"{connection_set.maps.count()} maps with their versions, runs and errors. "
        "The records of both systems stay.",
    )
    if refused is not None:
        return refused
    result = environments.unlink(connection_set, force=options.force)
    lines = [result.message]
    for remains in result.left_behind:
        lines += [f"-- {remains.problem}", remains.script]
    return Result(
        {
            "connection_set": result.name,
            "maps": list(result.maps),
            "left_behind": [
                {
                    "environment": remains.environment,
                    "code": remains.code,
                    "problem": remains.problem,
                    "script": remains.script,
                }
                for remains in result.left_behind
            ],
        },
        "\n".join(lines).rstrip(),
    )


def delete(options: argparse.Namespace, console: Console) -> Result:
    """Delete a map, an environment or a shared value map."""
    remove: Callable[[], None]
    if options.what == "map":
        table_map = find_map(options.name)
        name = table_map.name
        loss = f"the map {name} with its versions, runs and errors"
        remove = partial(maps.delete, table_map)
    elif options.what == "environment":
        environment = find_environment(options.name)
        name = environment.name
        loss = f"the environment {name} and its connection string"
        remove = partial(environments.delete_environment, environment)
    else:
        value_map = find_value_map(options.name)
        name = value_map.name
        loss = f"the value map {name}"
        remove = partial(value_maps.delete, value_map)
    refused = confirm(options, console, name, f"This deletes {loss}. The records stay.")
    if refused is not None:
        return refused
    remove()
    return Result(
        {options.what.replace("-", "_"): name, "deleted": True}, f"{name} was deleted."
    )


def confirm(
    options: argparse.Namespace, console: Console, name: str, loss: str
) -> Result | None:
    """None when the name was typed, or need not be."""
    if options.yes:
        return None
    if options.as_json:
        return Result.failure(
            "confirmation_needed",
            "With --json nothing can be asked: add --yes.",
            code=2,
        )
    console.progress(f"{loss}\nType {name} to go on:")
    if sys.stdin.readline().strip() != name:
        return Result.failure(
            "not_confirmed", "The name was not typed, so nothing was changed."
        )
    return None
