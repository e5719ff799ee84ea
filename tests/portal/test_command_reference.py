"""The reference of the command line: whole, for every command and option."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from portal.management.commands.dw import Command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command-line.md"
COMMON = {"--help", "--json"}


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = Command().create_parser("manage.py", "dw")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("dw has no subcommands")


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (o for o in action.option_strings if o.startswith("--"))


def described() -> dict[str, str]:
    """The text under the headings, by the commands they name."""
    found: dict[str, str] = {}
    for section in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        heading = section.partition("\n")[0]
        for name in re.findall(r"dw ([a-z-]+)", heading):
            found[name] = found.get(name, "") + section
    return found


def test_every_command_is_described() -> None:
    assert set(described()) == set(commands())


def test_every_option_is_described() -> None:
    sections = described()
    missing = [
        f"{name} {option}"
        for name, parser in commands().items()
        for option in options(parser)
        if option not in COMMON and option not in sections[name]
    ]
    assert missing == []
