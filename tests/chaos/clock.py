"""Clocks that jump: Debian's libfaketime under the portal's processes and under the
two systems' PostgreSQL servers, where it is installed (apt-get install libfaketime).

The offset is read from a file, so it changes under running processes. Only the time
of day jumps; monotonic clocks go on, as on a real machine.
"""

from __future__ import annotations

import shlex
from pathlib import Path

SLEEP = """\
# libfaketime 0.9.10 breaks sleeping until a moment of the monotonic clock.
import select
import time


def sleep(seconds):
    select.select([], [], [], seconds)


time.sleep = sleep
"""
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Clock:
    """The offset of the portal's clock, and one for each system's server."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(mode=0o755)
        self._python = home / "python"
        self._python.mkdir()
        (self._python / "sitecustomize.py").write_text(SLEEP)
        for name in ("portal", "erp", "crm"):
            self.set(0, name)

    @property
    def jumps(self) -> bool:
        """Whether the library is there."""
        return bool(LIBRARIES)

    def set(self, seconds: int, *names: str) -> None:
        """Put clocks (all, by default) that far off."""
        for name in names or ("portal", "erp", "crm"):
            path = self._home / name
            draft = path.with_suffix(".new")
            draft.write_text(f"{seconds:+d}\n")
            draft.chmod(0o644)
            draft.rename(path)

    def environ(self, name: str = "portal") -> dict[str, str]:
        """Variables that put a process under a clock."""
        if not self.jumps:
            return {}
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._home / name),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
            "PYTHONPATH": str(self._python),
        }

    def programs(self, programs: Path, name: str) -> Path:
        """A directory whose `postgres` runs under the clock `name`."""
        if not self.jumps:
            return programs
        folder = self._home / f"{name}-bin"
        folder.mkdir(mode=0o755)
        words = [f"{key}={value}" for key, value in self.environ(name).items()]
        script = folder / "postgres"
        line = shlex.join(["env", *words, str(programs / "postgres")])
        script.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        script.chmod(0o755)
        return folder
