"""`dw record` and `dw history`."""

from __future__ import annotations

import argparse

from portal.history import asking, keeping, origins, timeline
from portal.management.results import Add, Console, Result, table
from portal.maps.models import TableMap
from portal.maps.queries import find_map


def register(add: Add) -> None:
    """Add the commands about single records."""
    parser = add("record", record, "all that is known to have happened to a record")
    parser.add_argument("key", metavar="KEY", help="its key on either side")
    parser.add_argument("--map", metavar="MAP", help="only in this map")
    parser.add_argument(
        "--fields", action="store_true", help="also where each field is from"
    )
    parser = add(
        "history", history, "which maps keep what is carried, and for how long"
    )
    parser.add_argument("maps", nargs="*", metavar="MAP")
    parser.add_argument("--on", action="store_true", help="keep it for these maps")
    parser.add_argument("--off", action="store_true", help="keep it no longer")
    parser.set_defaults(usage=parser.error)


def record(options: argparse.Namespace, console: Console) -> Result:
    """The timeline of a record, oldest first on the screen."""
    chosen = find_map(options.map) if options.map else None
    found = timeline.timeline(options.key, table_map=chosen)
    document = timeline.document(found)
    lines = [
        [
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            one.map_name,
            one.kind,
            " ".join([one.message, *map(_words, one.columns)]),
        ]
        for one in reversed(found.events)
    ]
    text = (
        table(lines, ("when (UTC)", "map", "what", "message"))
        if lines
        else f"Nothing is known of a record {found.text}."
    )
    if not found.events and chosen is None and found.text:
        now = asking.ask(options.key)
        document["now"] = asking.document(now)
        text = "\n".join([text, *_now(now)])
    if options.fields:
        maps = found.maps or ([chosen] if chosen else [])
        known = [origins.fields(one, options.key) for one in maps]
        document["fields"] = [origins.document(one) for one in known]
        text = "\n\n".join([text, *map(_fields, known)])
    return Result(document, text)


def _now(asked: asking.Asked) -> list[str]:
    there = [
        f"{one.table_map.name} has it now on {' and '.join(one.sides)}: --map "
        f"{one.table_map.name} --fields shows it."
        for one in asked.hits
    ]
    left = [
        f"Not asked, {reason}: {', '.join(one.name for one in maps)}"
        for reason, maps in asked.unasked.items()
    ]
    return [*(there or ["No map that was asked has it now."]), *left]


def _words(one: timeline.Changed) -> str:
    before = f"{one.before} -> " if one.had else ""
    return f"[{one.column}: {before}{one.after}]"


def _fields(found: origins.Fields) -> str:
    if found.trouble:
        return f"{found.table_map.name}: {found.trouble}"
    rows = [
        [found.table_map.name, name, one.values[side] or "-", origin.sentence]
        for one in found.fields
        for side, name in (("finops", one.finops), ("dataverse", one.dataverse))
        if name and (origin := one.origins.get(side)) is not None
    ]
    return table(rows, ("map", "column", "value", "where it is from"))


def history(options: argparse.Namespace, console: Console) -> Result:
    """Switch the history of maps, and say for which it is kept."""
    if options.on and options.off:
        options.usage("say --on or --off")
    chosen = [find_map(name) for name in options.maps]
    if (options.on or options.off) and not chosen:
        options.usage("name the maps")
    if options.on or options.off:
        keeping.switch(chosen, on=options.on)
    maps = chosen or list(TableMap.objects.order_by("name"))
    days = keeping.days()
    document = {
        "since": days[0][1] if days else None,
        "bytes": sum(size for _, _, size in days),
        "maps": [{"map": one.name, "kept": one.history} for one in maps],
    }
    rows = [[one.name, "kept" if one.history else "not kept"] for one in maps]
    return Result(document, table(rows, ("map", "history")))
