"""`dw catalog`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from portal.environments.models import ConnectionSet
from portal.environments.queries import choose_connection_set
from portal.management.results import Add, Console, Result, table
from portal.maps.models import TableMap
from portal.maps.ready_made import Installation, Step, install, installed, plan
from syncengine import catalog

Installed = Mapping[str, Sequence[TableMap]]

ARROWS = {"both": "<>", "finops_to_dataverse": ">", "dataverse_to_finops": "<"}


def register(add: Add) -> None:
    """Add the ready-made maps."""
    parser = add("catalog", run_catalog, "list or install ready-made maps")
    parser.add_argument("map", nargs="?", metavar="MAP", help="show one map whole")
    parser.add_argument("--search", metavar="TEXT", help="in names of maps and columns")
    parser.add_argument("--package", metavar="NAME", help="only of this package")
    parser.add_argument("--concept", metavar="NAME", help="only of this concept")
    parser.add_argument(
        "--direction", choices=list(ARROWS), help="only maps that flow this way"
    )
    parser.add_argument(
        "--installed", choices=["yes", "no"], help="only maps that are there, or not"
    )
    parser.add_argument(
        "--install",
        nargs="+",
        metavar="MAP|PACKAGE",
        help="add maps, or all of a package, with the maps they refer to",
    )
    parser.add_argument(
        "--plan", action="store_true", help="show what --install would add"
    )
    parser.add_argument(
        "--connection-set",
        metavar="NAME",
        help="where to install, if there are several",
    )
    parser.set_defaults(usage=parser.error)


def run_catalog(options: argparse.Namespace, console: Console) -> Result:
    """List what fits, show one map or, with --install, add maps to a connection set."""
    filters = ("search", "package", "concept", "direction", "installed")
    filtered = any(getattr(options, name) for name in filters)
    if options.install:
        if options.map or filtered:
            options.usage("--install takes no filters and no other map")
        connection_set = choose_connection_set(options.connection_set)
        if options.plan:
            return _planned(connection_set, plan(connection_set, options.install))
        return _installed(install(connection_set, options.install))
    if options.connection_set or options.plan:
        options.usage("--connection-set and --plan go with --install")
    if options.map:
        if filtered:
            options.usage("a MAP is shown whole: leave the filters out")
        return _whole(catalog.find(options.map))
    return _list(options)


def _list(options: argparse.Namespace) -> Result:
    there = installed()
    matches = [
        match
        for match in catalog.search(
            options.search or "",
            package=options.package or "",
            concept=options.concept or "",
            direction=options.direction or "",
        )
        if not options.installed
        or (options.installed == "yes") is (match.entry.name in there)
    ]
    rows = [
        [
            _title(match.entry),
            match.entry.package,
            match.entry.concept,
            len(match.entry.columns),
            ARROWS[match.entry.direction],
            ", ".join(_names(there, match.entry)) or "-",
        ]
        for match in matches
    ]
    header = ("map", "package", "concept", "columns", "direction", "installed")
    return Result(
        {
            "catalog": [
                {
                    **_entry(match.entry, there),
                    "found_in_columns": list(match.columns),
                }
                for match in matches
            ]
        },
        table(rows, header) if rows else "No ready-made map fits.",
    )


def _title(entry: catalog.CatalogEntry) -> str:
    if entry.name.endswith(f"({entry.dataverse_table})"):
        return f"{entry.finops_entity} -> {entry.dataverse_table}"
    return f"{entry.name} -> {entry.dataverse_table}"


def _names(there: Installed, entry: catalog.CatalogEntry) -> list[str]:
    return [f"{m.connection_set.name}/{m.name}" for m in there.get(entry.name, ())]


def _whole(entry: catalog.CatalogEntry) -> Result:
    needs = [e.name for e in catalog.with_prerequisites([entry]) if e != entry]
    corrected = {correction.place: correction for correction in entry.corrections}
    reasons = [
        f"{place}: {one.corrected} instead of the published {one.reference}: "
        f"{one.reason}"
        for place, one in corrected.items()
    ]
    rows = [
        [
            line.finops or "none",
            line.type.value,
            line.dataverse or "none",
            "" if line.default is None else f"default {line.default!r}",
            "; ".join(f"{left} = {right}" for left, right in line.values or ()),
        ]
        for line in entry.columns
    ]
    keys = ", ".join(f"{pair.finops} = {pair.dataverse}" for pair in entry.key)
    company = "per legal entity" if entry.company_specific else "shared by all"
    lines = [
        _title(entry),
        f"  package {entry.package}, concept {entry.concept}, {company}",
        f"  key: {keys}" + (" (inferred)" if entry.key_inferred else ""),
        f"  FinOps filter: {entry.finops_filter or 'all rows'}",
        f"  Dataverse filter: {entry.dataverse_filter or 'all rows'}",
        f"  needs, in this order: {', '.join(needs) or 'no other map'}",
        *(f"  corrected {reason}" for reason in reasons),
        table(rows, ("finops", "", "dataverse", "default", "values")),
    ]
    document = {
        **_entry(entry, installed()),
        "finops_filter": entry.finops_filter,
        "dataverse_filter": entry.dataverse_filter,
        "needs": needs,
        "needed_by": [other.name for other in catalog.needed_by(entry)],
        "lookups": dict(entry.lookups),
        "lines": [
            {
                "finops": line.finops,
                "type": line.type.value,
                "dataverse": line.dataverse,
                "default": line.default,
                "values": None
                if line.values is None
                else [list(pair) for pair in line.values],
            }
            for line in entry.columns
        ],
    }
    return Result({"map": document}, "\n".join(lines))


def _entry(entry: catalog.CatalogEntry, there: Installed) -> dict[str, object]:
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
        "installed": _names(there, entry),
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


def _planned(connection_set: ConnectionSet, steps: Sequence[Step]) -> Result:
    new = [entry.name for entry, there in steps if there is None]
    present = [(entry, there) for entry, there in steps if there is not None]
    done = _installed(Installation(connection_set, present=present))
    done.document |= {"plan": True, "installed": new}
    lines = [f"+ map {connection_set.name}/{name}" for name in new]
    lines += [done.text] if done.text else []
    done.text = "\n".join([*lines, "Nothing was changed: this is the plan."])
    return done


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
            "plan": False,
            "installed": [table_map.name for table_map in done.installed],
            "present": [
                {"name": entry.name, "map": table_map.name}
                for entry, table_map in done.present
            ],
        },
        "\n".join(lines),
    )
