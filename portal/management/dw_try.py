"""`dw try`."""

from __future__ import annotations

import argparse

from portal.editor import services
from portal.editor.texts import read_text
from portal.editor.trying import MOST, SAMPLE, DirectionTrial, DraftTrial, try_draft
from portal.management import reading
from portal.management.results import Add, Console, Result
from portal.maps.preparation import definition
from portal.maps.queries import find_map
from portal.refusals import Refusal, ValidationRefused


def register(add: Add) -> None:
    """Add the trial of drafts."""
    parser = add("try", run, "try a map's draft on present records; writes nothing")
    parser.add_argument("map", metavar="MAP")
    parser.add_argument(
        "--from", dest="file", metavar="FILE", help="the map of a file, not the draft"
    )
    parser.add_argument(
        "--sample",
        type=int,
        choices=range(1, MOST + 1),
        metavar="N",
        default=SAMPLE,
        help=f"how many records of each side, {MOST} at most",
    )


def run(options: argparse.Namespace, console: Console) -> Result:
    """Compare what the draft makes of records with what the present version does;
    fails when records fail that do not now."""
    table_map = find_map(options.map)
    if options.file:
        text = reading.read_text(options.file)
        kind = "json" if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") else "yaml"
        wanted = read_text(table_map, definition(table_map), text, kind)
    else:
        wanted = services.read(services.draft_or_refuse(table_map)).definition
    console.progress(f"Trying the draft of {table_map.name} ...")
    found = try_draft(table_map, wanted, sample=options.sample)
    if found.findings:
        raise ValidationRefused("The draft does not fit its tables.", found.findings)
    if found.trouble:
        raise Refusal(found.trouble, code="not_tried")
    return Result(found.document(), _text(found), code=1 if found.worse else 0)


def _text(found: DraftTrial) -> str:
    lines = [found.note] if found.note else []
    for one in found.directions:
        lines += _direction(one)
    return "\n".join(lines)


def _direction(one: DirectionTrial) -> list[str]:
    lines = [f"{one.direction.value}: {one.total} records, {one.deleted} deletes"]
    lines += [
        f"  {verdict.replace('_', ' ')}: {n}"
        for verdict, n in (*one.counts.items(), *one.deletes.items())
    ]
    lines += [
        f"  {each.verdict} {each.code} {each.column}: {each.count} records, "
        f"{each.message}"
        for each in one.failures
    ]
    for each in one.changes:
        lines.append(
            f"  column {each.column} differs in {each.count} records, in {each.alone} "
            f"of them alone ({each.cause.lower()})"
        )
        lines += [
            f"    {step.change.before!r} -> {step.change.after!r}: {step.count}, like "
            f"{' / '.join(part or '' for part in step.record.key)}"
            for step in each.steps
        ]
    return lines
