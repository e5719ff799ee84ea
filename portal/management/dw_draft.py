"""`dw draft`."""

from __future__ import annotations

import argparse
from typing import Any

from portal.editor import services
from portal.editor.checking import check
from portal.editor.content import Draft, draft_of, replace_all
from portal.editor.models import MapDraft
from portal.editor.tables import tables_of
from portal.editor.texts import read_text
from portal.management import reading
from portal.management.results import Add, Console, Result
from portal.maps.conversion import to_engine
from portal.maps.models import TableMap
from portal.maps.queries import find_map
from syncengine.mapping.comparison import compare_maps


def register(add: Add) -> None:
    """Add the drafts of maps."""
    parser = add("draft", draft, "show, change, publish or discard a map's draft")
    parser.add_argument("map", metavar="MAP")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        help="take it from a file: YAML, or JSON of the original product",
    )
    what.add_argument("--undo", action="store_true", help="take the last change back")
    what.add_argument(
        "--take-over", action="store_true", help="hold a draft of somebody else"
    )
    what.add_argument("--discard", action="store_true", help="throw the draft away")
    what.add_argument(
        "--publish",
        nargs="?",
        const="",
        metavar="VERSION",
        help="make it the map's version; without a number the next one",
    )
    parser.add_argument(
        "--publisher", help="with --publish: that of the present version if not given"
    )


def draft(options: argparse.Namespace, console: Console) -> Result:
    """What the draft changes and what is wrong with it, after doing what is asked."""
    table_map = find_map(options.map)
    if options.file:
        return _taken(table_map, options.file)
    if options.take_over:
        services.take_over(table_map)
    elif options.undo:
        services.undo(table_map)
    elif options.discard:
        services.discard(table_map)
        return Result(
            {"map": table_map.name, "discarded": True},
            f"The draft of {table_map.name} was discarded.",
        )
    elif options.publish is not None:
        return _published(table_map, options.publish, options.publisher)
    row = services.draft_row(table_map)
    if row is None:
        return Result(
            {"map": table_map.name, "draft": None}, f"{table_map.name} has no draft."
        )
    return _shown(table_map, row)


def _taken(table_map: TableMap, file: str) -> Result:
    text = reading.read_text(file)
    kind = "json" if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") else "yaml"
    row = services.begin(table_map)
    wanted = read_text(table_map, services.read(row).definition, text, kind)
    services.change(table_map, replace_all(wanted), "text")
    return _shown(table_map, services.draft_or_refuse(table_map))


def _published(table_map: TableMap, version: str, publisher: str | None) -> Result:
    if publisher is None:
        publisher = table_map.version.publisher if table_map.version else ""
    number = version or services.offered_number(table_map, publisher)
    made = services.publish(table_map, publisher=publisher, version=number)
    return Result(
        {
            "map": table_map.name,
            "published": {"publisher": made.publisher, "version": made.version},
        },
        f"{table_map.name} is at version {made} now.",
    )


def _shown(table_map: TableMap, row: MapDraft) -> Result:
    one = services.read(row)
    changes = _changes(table_map, one)
    found = check(table_map, one, tables_of(table_map.connection_set, one.definition))
    document: dict[str, Any] = {
        "held_by": str(row.user) if row.user else None,
        "base": str(row.base) if row.base else None,
        "begun_at": row.begun_at,
        "changed_at": row.changed_at,
        "changes": changes,
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.value,
                "place": finding.place,
                "message": finding.message,
                "cure": finding.cure,
            }
            for finding in found.all
        ],
        "troubles": list(found.troubles),
    }
    holder = str(row.user) if row.user else "the command line"
    lines = [
        f"Draft of {table_map.name} from version {row.base}, held by {holder}:",
        *(f"  {line}" for line in changes or ["nothing changed"]),
        *(f"  {trouble}" for trouble in found.troubles),
        *(
            f"  {finding.severity.value} {finding.code} {finding.place}: "
            f"{finding.message}"
            for finding in found.all
        ),
    ]
    return Result({"map": table_map.name, "draft": document}, "\n".join(lines))


def _changes(table_map: TableMap, one: Draft) -> list[str]:
    if table_map.version is None:
        return []
    before = draft_of(to_engine(table_map.version)).definition
    return compare_maps(before, one.definition).lines()
