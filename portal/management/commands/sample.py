"""`manage.py sample`: ERP and CRM databases to try the portal on."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.refusals import Refusal
from portal.sample import services
from portal.sample.databases import SampleError
from portal.sample.ready_made.populations import Sizes
from portal.sample.ready_made.services import ensure_ready_made, remove_ready_made


class Command(BaseCommand):
    """Makes whatever of a sample is missing."""

    help = (
        "Make two sample databases, link them and run five maps. With --ready-made, "
        "two larger ones in which all ready-made maps are installed. Does nothing "
        "where that was done before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--ready-made",
            action="store_true",
            help="databases for all ready-made maps, which are installed, not started",
        )
        parser.add_argument(
            "--scale",
            type=_number,
            metavar="N",
            help="with --ready-made: N times as many rows in every table",
        )
        parser.add_argument(
            "--rows",
            action="append",
            type=_table_rows,
            metavar="TABLE=N",
            help="with --ready-made: about N rows in this table; may be repeated",
        )
        parser.add_argument(
            "--reset", action="store_true", help="remove that sample first"
        )
        parser.add_argument(
            "--remove", action="store_true", help="remove that sample, make none"
        )
        parser.add_argument(
            "--json",
            action="store_true",
            dest="as_json",
            help="print one JSON document and nothing else",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["ready_made"] and (options["scale"] or options["rows"]):
            raise CommandError("--scale and --rows go with --ready-made.")
        sizes = Sizes(options["scale"] or 1, dict(options["rows"] or ()))
        try:
            if options["reset"] or options["remove"]:
                self._remove(ready_made=options["ready_made"])
            if options["remove"]:
                self._say({"removed": True}, ["The sample is gone."], options)
            elif options["ready_made"]:
                self._ready_made(sizes, options)
            else:
                self._small(options)
        except (Refusal, SampleError) as error:
            raise CommandError(str(error)) from error

    def _remove(self, *, ready_made: bool) -> None:
        if ready_made:
            remove_ready_made()
        else:
            services.remove_sample()

    def _small(self, options: dict[str, Any]) -> None:
        report = services.ensure_sample()
        lines = _written(report.rows)
        if report.linked:
            lines.append("The two sample environments are linked.")
        if report.started:
            lines.append(f"Started: {', '.join(report.started)}.")
        if not report.changed:
            lines.append("The sample companies are there already.")
        document = {
            "rows": report.rows,
            "linked": report.linked,
            "started": report.started,
        }
        self._say(document, lines, options)

    def _ready_made(self, sizes: Sizes, options: dict[str, Any]) -> None:
        report = ensure_ready_made(sizes)
        lines = _written(report.rows)
        if report.linked:
            lines.append("ready-made-erp and ready-made-crm are linked.")
        if report.installed:
            lines.append(f"{len(report.installed)} ready-made maps are installed.")
        if not report.changed:
            lines.append("The ready-made sample is there already.")
        document = {
            "rows": report.rows,
            "linked": report.linked,
            "installed": report.installed,
        }
        self._say(document, lines, options)

    def _say(
        self, document: dict[str, Any], lines: list[str], options: dict[str, Any]
    ) -> None:
        if options["as_json"]:
            self.stdout.write(json.dumps(document, indent=1))
        else:
            self.stdout.write("\n".join(lines))


def _written(rows: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{side}: {sum(tables.values()):,} rows written."
        for side, tables in rows.items()
    ]


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _table_rows(text: str) -> tuple[str, int]:
    table, _, number = text.partition("=")
    return table.strip().lower(), _number(number)
