"""`manage.py sample`: an ERP and a CRM database to try the portal on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.refusals import Refusal
from portal.sample import services
from portal.sample.databases import SampleError


class Command(BaseCommand):
    """Makes whatever of the sample companies is missing."""

    help = (
        "Make two sample databases, link them and run five maps. Does nothing where "
        "that was done before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset", action="store_true", help="remove the sample companies first"
        )

    def handle(self, *_: Any, reset: bool, **options: Any) -> None:
        try:
            if reset:
                services.remove_sample()
            report = services.ensure_sample()
        except (Refusal, SampleError) as error:
            raise CommandError(str(error)) from error
        for side, tables in report.rows.items():
            self.stdout.write(f"{side}: {sum(tables.values()):,} rows written.")
        if report.linked:
            self.stdout.write("The two sample environments are linked.")
        if report.started:
            self.stdout.write(f"Started: {', '.join(report.started)}.")
        if not report.changed:
            self.stdout.write("The sample companies are there already.")
