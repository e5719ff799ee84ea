"""`dw cancel`, `dw runs` and `dw companies`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from portal.environments.models import ConnectionSet
from portal.environments.queries import find_connection_set
from portal.management.following import complaints, follow, how_far
from portal.management.results import Add, Console, Result, table
from portal.maps.queries import find_maps
from portal.runs import joining, left_out, services
from portal.runs.figures import figures, runs_of
from portal.runs.models import ACTIVE_RUN_STATES
from syncengine.mapping.model import LegalEntityPair, Side

NEWEST = 20


def register(add: Add) -> None:
    """Add the commands about initial syncs and the companies they copy."""
    parser = add("cancel", cancel, "stop the initial syncs of maps")
    parser.add_argument("maps", nargs="+", metavar="MAP")
    parser = add("runs", runs, "list initial syncs, newest first")
    parser.add_argument("maps", nargs="*", metavar="MAP")
    parser.add_argument(
        "--active", action="store_true", help="only those that are not over"
    )
    parser.add_argument(
        "--last", type=int, default=NEWEST, metavar="N", help="how many (usually 20)"
    )
    _register_companies(add)


def _register_companies(add: Add) -> None:
    parser = add("companies", companies, "list, add or remove linked companies")
    parser.add_argument("name", metavar="SET")
    for option, metavar, help in (
        ("--add", "FINOPS=DATAVERSE", "link a company; its rows are copied"),
        ("--remove", "FINOPS", "end the exchange of a company; its data stays"),
        ("--copy-again", "FINOPS", "copy the rows of a company whose copy broke off"),
        ("--skip-copy", "FINOPS", "take such a company live without its rows"),
    ):
        parser.add_argument(
            option, action="append", default=[], metavar=metavar, help=help
        )
    parser.add_argument(
        "--master",
        choices=[side.value for side in Side],
        help="who wins where both sides have a record of an added company",
    )
    parser.add_argument(
        "--wait", action="store_true", help="return when the rows are copied"
    )
    parser.set_defaults(usage=parser.error)


def cancel(options: argparse.Namespace, console: Console) -> Result:
    """Cancel what copies the rows of these maps."""
    maps = find_maps(options.maps)
    cancelled = services.cancel_runs(maps)
    names = {table_map.pk: table_map.name for table_map in maps}
    return Result(
        {"cancelled": [one.document() for one in figures(cancelled)]},
        "\n".join(
            f"{names[run.table_map_id]}: the initial sync was cancelled."
            for run in cancelled
        ),
    )


def runs(options: argparse.Namespace, console: Console) -> Result:
    """The newest runs with their legs."""
    found = runs_of(find_maps(options.maps) or None)
    if options.active:
        found = found.filter(state__in=ACTIVE_RUN_STATES)
    listed = figures(found[: max(options.last, 0)])
    rows = [
        [
            one.run.pk,
            one.run.table_map.name,
            one.run.companies or "all",
            one.outcome or one.run.state,
            how_far(one),
        ]
        for one in listed
    ]
    text = (
        table(rows, ("run", "map", "companies", "state", "rows"))
        if rows
        else "There are no such initial syncs."
    )
    return Result({"runs": [one.document() for one in listed]}, text)


def companies(options: argparse.Namespace, console: Console) -> Result:
    """Show the linked companies; change them first where that is asked for."""
    connection_set = find_connection_set(options.name)
    change = joining.CompaniesChange()
    if options.add or options.remove:
        pairs = _wanted(options, connection_set)
        change = joining.set_companies(connection_set, pairs, master=options.master)
    if options.skip_copy:
        left_out.skip_companies(connection_set, options.skip_copy)
    if options.copy_again:
        again = left_out.join_again(
            connection_set, options.copy_again, master=options.master
        )
        change.joining += again.joining
        change.correlation_id = change.correlation_id or again.correlation_id
    problems: Sequence[str] = ()
    if options.wait and change.joining:
        done = follow(change.joining, change.correlation_id, console)
        names = {one.pk: one.name for one in change.joining}
        problems = complaints(done, names.__getitem__)
    return _companies_result(connection_set, change, problems)


def _wanted(
    options: argparse.Namespace, connection_set: ConnectionSet
) -> list[LegalEntityPair]:
    gone = set(options.remove)
    linked = connection_set.legal_entity_pairs()
    unknown = gone - {pair.finops for pair in linked}
    if unknown:
        options.usage(f"not linked: {', '.join(sorted(unknown))}")
    wanted = [pair for pair in linked if pair.finops not in gone]
    for text in options.add:
        finops, _, dataverse = text.partition("=")
        if not finops or not dataverse:
            options.usage("--add takes FINOPS=DATAVERSE, like usmf=USMF")
        wanted.append(LegalEntityPair(finops, dataverse))
    return wanted


def _companies_result(
    connection_set: ConnectionSet,
    change: joining.CompaniesChange,
    problems: Sequence[str],
) -> Result:
    standing = left_out.standing(connection_set)
    document: dict[str, Any] = {
        "connection_set": connection_set.name,
        "legal_entities": [
            {
                "finops": one.pair.finops,
                "dataverse": one.pair.dataverse,
                "joining": [table_map.name for table_map in one.joining],
                "left_out": [table_map.name for table_map in one.left_out],
            }
            for one in standing
        ],
        "correlation_id": change.correlation_id,
        "copying": [table_map.name for table_map in change.joining],
    }
    rows = [
        [
            one.pair.finops,
            one.pair.dataverse,
            ", ".join(m.name for m in one.joining) or "-",
            ", ".join(m.name for m in one.left_out) or "-",
        ]
        for one in standing
    ]
    text = (
        table(rows, ("finops", "dataverse", "being copied by", "not copied by"))
        if rows
        else f"{connection_set.name} has no companies."
    )
    return Result(document, text, code=1 if problems else 0, error="\n".join(problems))
