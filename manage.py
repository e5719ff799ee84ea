#!/usr/bin/env python
"""Django's command line for the portal."""

from __future__ import annotations

import os
import sys

WITHOUT_SERVERS = {
    *("help", "version", "check", "collectstatic", "diffsettings"),
    *("findstatic", "makemessages", "compilemessages", "startapp", "startproject"),
}


def needs_servers(arguments: list[str]) -> bool:
    """Whether the command works with the database, and not only with the code."""
    return bool(arguments) and not (
        arguments[0] in WITHOUT_SERVERS or {"-h", "--help"} & {*arguments}
    )


def log_less(arguments: list[str]) -> None:
    """`dw` says on standard error what a person or script should read: its log lines
    only from warnings on, unless somebody wants them."""
    if arguments[:1] == ["dw"] and not {"LOG_LEVEL", "LOG_LEVEL_FILE"} & {*os.environ}:
        os.environ["LOG_LEVEL"] = "WARNING"


def main() -> None:
    """Run one management command; a bad setting is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    log_less(sys.argv[1:])
    from portal import garbage
    from portal.embedded import EmbeddedError, ensure_running

    garbage.look_seldom()

    try:
        if needs_servers(sys.argv[1:]):
            ensure_running()
    except EmbeddedError as error:
        sys.exit(error.message)

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The portal cannot start: {error}")
    except BrokenPipeError:
        # Whoever read our output has seen enough (`dw errors | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
