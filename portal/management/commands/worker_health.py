"""For health checks of containers: does a worker (or beat) live here?"""

from __future__ import annotations

import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from portal.operations import queries
from portal.operations.models import Kind


class Command(BaseCommand):
    """`manage.py worker_health`."""

    help = (
        "Exit with 0 when a worker (or beat) of this host has signed lately, else "
        "with 1."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kind",
            choices=[Kind.WORKER.value, Kind.BEAT.value],
            default=Kind.WORKER.value,
            help="what to look for",
        )
        parser.add_argument(
            "--within", type=float, default=20.0, help="seconds since its last sign"
        )
        parser.add_argument(
            "--any-host", action="store_true", help="one on another host will do"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        kind = Kind(options["kind"])
        host = "" if options["any_host"] else socket.gethostname()
        try:
            fine = queries.alive(kind, host=host, within_seconds=options["within"])
        except DatabaseError as error:
            raise CommandError("The portal's database does not answer.") from error
        where = f" on {host}" if host else ""
        if not fine:
            raise CommandError(
                f"No {kind.label.lower()}{where} has signed within "
                f"{options['within']:.0f} seconds."
            )
        self.stdout.write(f"A {kind.label.lower()}{where} is alive.")
