"""`manage.py dw`: the portal's command line, which scripts rely on.

Subcommands live in `portal/management/dw_*.py`; each module has a `register` that
adds its commands. Exit codes: 0 done, 1 failed (one clear message on standard
error), 2 bad usage. With `--json`, standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import pwd
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, ProgrammingError

from portal import management
from portal.correlation import correlated, operated_by
from portal.management.results import Console, Handler, Result
from portal.refusals import Refusal
from syncengine.errors import EngineError

NO_SERVERS = (
    "The portal has no database yet: start it with 'make run', or set DATABASE_URL "
    "and REDIS_URL."
)


class Command(BaseCommand):
    """Dispatches to one handler and prints what it gives back."""

    help = "Operate the portal: apply, run, pause, compare and so on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        common = argparse.ArgumentParser(add_help=False)
        common.add_argument(
            "--json",
            action="store_true",
            dest="as_json",
            help="print one JSON document and nothing else",
        )
        commands = parser.add_subparsers(
            dest="command", metavar="COMMAND", required=True
        )

        def add(name: str, handler: Handler, help: str) -> argparse.ArgumentParser:
            made = commands.add_parser(
                name, help=help, description=help, parents=[common]
            )
            made.set_defaults(handler=handler)
            return made

        for module in _modules():
            module.register(add)

    def handle(self, *_: Any, **options: Any) -> None:
        namespace = argparse.Namespace(**options)
        console = Console(self.stderr)
        with correlated(), operated_by(shell_user()):
            result = self._run(options["handler"], namespace, console)
        if options["as_json"]:
            document = json.dumps(result.document, cls=DjangoJSONEncoder, indent=1)
            self.stdout.write(document)
        elif result.text:
            self.stdout.write(result.text)
        if result.error:
            self.stderr.write(result.error)
        if result.code:
            sys.exit(result.code)

    def _run(
        self,
        handler: Callable[..., Result],
        options: argparse.Namespace,
        console: Console,
    ) -> Result:
        if not settings.DATABASE_URL:
            return Result.failure("no_database", NO_SERVERS)
        try:
            return handler(options, console)
        except Refusal as error:
            return Result.failure(error.code, error.message, error.reasons)
        except EngineError as error:
            return Result.failure(error.code, error.message)
        except OperationalError as error:
            words = str(error).strip().splitlines() or [""]
            return Result.failure(
                "database_unreachable",
                f"The portal's database does not answer: {words[0]}",
            )
        except ProgrammingError as error:
            if "does not exist" not in str(error):
                raise
            return Result.failure(
                "not_migrated",
                "The portal's database is not up to date: run 'manage.py migrate'.",
            )
        except KeyboardInterrupt:
            return Result.failure("interrupted", "Interrupted.", code=130)


def shell_user() -> str:
    """Who gave the command: the user of the operating system, and whoever became it
    by sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"user {os.getuid()}"
    before = os.environ.get("SUDO_USER", "")
    return f"{before} as {name}" if before and before != name else name


def _modules() -> list[Any]:
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(management.__path__)
        if module.name.startswith("dw_")
    )
    return [importlib.import_module(f"{management.__name__}.{name}") for name in names]
