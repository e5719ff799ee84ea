"""`dw refresh`."""

from __future__ import annotations

import argparse

from portal.checks.refreshing import refresh
from portal.management.results import Add, Console, Result
from portal.maps import queries


def register(add: Add) -> None:
    """Add the command that reads tables anew."""
    parser = add(
        "refresh", run, "read the tables of maps anew, after they were changed"
    )
    parser.add_argument("maps", nargs="+", metavar="MAP")


def run(options: argparse.Namespace, console: Console) -> Result:
    """Read the tables anew; exit code 1 when a map does not fit them."""
    results = refresh(queries.find_maps(options.maps))
    return Result(
        {
            "maps": [
                {
                    "name": one.table_map.name,
                    "fits": not one.blocking,
                    "message": one.words,
                    "findings": [
                        {
                            "code": finding.code,
                            "place": finding.place,
                            "message": finding.message,
                            "cure": finding.cure,
                        }
                        for finding in one.blocking
                    ],
                }
                for one in results
            ]
        },
        "\n".join(one.words for one in results if not one.blocking),
        code=1 if any(one.blocking for one in results) else 0,
        error="\n".join(one.words for one in results if one.blocking),
    )
