"""`dw pause`, `resume` and `queue`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from portal.environments.queries import find_connection_set
from portal.management.dw_maps import action_document, action_text, await_streams
from portal.management.results import Add, Console, Result, table
from portal.maps import maintenance, queries, services
from portal.maps.dependents import paused_prerequisites, running_dependents
from portal.maps.queries import find_map
from portal.refusals import Refusal
from portal.sync import saving, skipping
from portal.sync.models import QueuedChange, SavedQueue, SetAsideChange
from portal.sync.skipping import Skip

SHOWN = 100


def register(add: Add) -> None:
    """Add the commands about pausing and queues."""
    parser = add("pause", pause, "queue the changes of maps")
    _maps_or_set(parser)
    parser.add_argument(
        "--related", action="store_true", help="also the running maps that refer to it"
    )
    parser = add("resume", resume, "write what was queued and go on")
    _maps_or_set(parser)
    parser.add_argument(
        "--skip-to-live",
        choices=[skip.value for skip in Skip],
        help="go live at once; set the queue aside, or save and discard it",
    )
    parser.add_argument(
        "--related", action="store_true", help="also the paused maps it refers to"
    )
    parser = add("queue", queue, "show, save, carry over or discard queued changes")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument("--key", default="", help="only keys that contain this")
    parser.add_argument(
        "--set-aside", action="store_true", help="what was skipped, not what waits"
    )
    parser.add_argument("--export", metavar="FILE", help="to FILE.jsonl or FILE.csv")
    parser.add_argument(
        "--replay", action="store_true", help="carry over what is set aside"
    )
    parser.add_argument(
        "--discard", action="store_true", help="save what is set aside, then discard it"
    )
    parser.add_argument("--saved", type=int, metavar="ID", help="export a saved queue")
    parser.set_defaults(usage=parser.error)


def _maps_or_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("maps", nargs="*", metavar="MAP")
    parser.add_argument(
        "--connection-set", metavar="NAME", help="all of it, for maintenance"
    )
    parser.set_defaults(usage=parser.error)


def _one_of(options: argparse.Namespace) -> None:
    if bool(options.maps) == bool(options.connection_set):
        options.usage("name maps, or --connection-set NAME")


def pause(options: argparse.Namespace, console: Console) -> Result:
    """Pause maps, or a whole connection set for maintenance."""
    _one_of(options)
    if options.connection_set:
        result = maintenance.pause_set(find_connection_set(options.connection_set))
    else:
        maps = queries.find_maps(options.maps)
        if options.related:
            known = {one.pk for one in maps}
            maps += [one for one in running_dependents(maps) if one.pk not in known]
        result = services.pause(maps)
    await_streams(result.changed)
    return Result(action_document(result), action_text(result))


def resume(options: argparse.Namespace, console: Console) -> Result:
    """Resume maps, or the maps that were paused with their connection set."""
    _one_of(options)
    if options.connection_set:
        if options.skip_to_live or options.related:
            options.usage("--skip-to-live and --related are for maps")
        result = maintenance.resume_set(find_connection_set(options.connection_set))
    else:
        maps = queries.find_maps(options.maps)
        if options.related:
            maps += paused_prerequisites(maps)
        result = skipping.resume(maps, options.skip_to_live)
    await_streams(result.changed)
    return Result(action_document(result), action_text(result))


def queue(options: argparse.Namespace, console: Console) -> Result:
    """A map's queue, or what is set aside of it."""
    table_map = find_map(options.map)
    if options.replay:
        number = skipping.replay(table_map)
        return Result({"replaying": number}, f"Carrying over {number} changes.")
    if options.discard:
        number, saved = skipping.discard_set_aside(table_map)
        document = {"discarded": number, "saved": saved.pk if saved else None}
        return Result(document, f"Saved and discarded {number} changes.")
    if options.saved is not None:
        found = SavedQueue.objects.filter(table_map=table_map, pk=options.saved).first()
        if found is None or not options.export:
            raise Refusal(
                f"{table_map.name} has no saved queue {options.saved}."
                if found is None
                else "Say where to: --export FILE.jsonl or FILE.csv.",
                code="bad_request",
            )
        return _export(options.export, saving.saved_lines(found))
    model = SetAsideChange if options.set_aside else QueuedChange
    rows = model._default_manager.filter(table_map=table_map)
    if options.key:
        rows = rows.filter(key_text__icontains=options.key)
    ordered = rows.order_by("position", "ordinal")
    if options.export:
        lines = (saving.line_of(row) for row in ordered.iterator(chunk_size=2000))
        return _export(options.export, lines)
    shown = [saving.line_of(row) for row in ordered[:SHOWN]]
    total = rows.count()
    saved_queues = [
        {"id": one.pk, "created_at": one.created_at, "changes": one.changes}
        for one in SavedQueue.objects.filter(table_map=table_map)
    ]
    document = {
        "map": table_map.name,
        "total": total,
        "changes": shown,
        "saved": saved_queues,
    }
    text = table(
        [
            [
                line["committed_at"],
                line["direction"],
                line["kind"],
                " / ".join("" if part is None else str(part) for part in line["key"]),
            ]
            for line in shown
        ],
        ("made", "direction", "change", "key"),
    )
    return Result(
        document, f"{text}\n{total} in all" if total else "The queue is empty."
    )


def _export(path: str, lines: Iterable[dict[str, Any]]) -> Result:
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in saving.FORMATS:
        raise Refusal("The file's name must end in .jsonl or .csv.", code="bad_request")
    number = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal number
        for line in lines:
            number += 1
            yield line

    try:
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            file.writelines(saving.FORMATS[kind](counted()))
    except OSError as error:
        raise Refusal(
            f"{path} cannot be written: {error.strerror or error}.",
            code="file_unwritable",
        ) from error
    return Result({"file": path, "changes": number}, f"{number} changes to {path}.")
