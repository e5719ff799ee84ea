"""One child process of the supervisor: started, restarted with patience, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from portal.embedded import launch

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0


class Child:
    """A program that should always run.

    It gets its own process group and is killed when this process dies. When it
    ends by itself it is started again after 1, 2, 4 ... 30 seconds; a minute of
    steady work makes the pause short again.
    """

    def __init__(
        self, name: str, line: Sequence[str], *, log: Path, environ: Mapping[str, str]
    ) -> None:
        self.name = name
        self.line = line
        self.log = log
        self.environ = environ
        self.pause = FIRST_PAUSE
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, now: float) -> None:
        account = launch.Account(os.geteuid(), os.getegid())
        program, *arguments = self.line
        self._process = launch.spawn(
            launch.command(Path(program), arguments, account, death_signal="KILL"),
            log=self.log,
            cwd=Path.cwd(),
            environ=self.environ,
        )
        self._started = now
        self.starts += 1

    def tend(self, now: float) -> str:
        """Restart the child if it ended and its pause is over; what to tell, or ""."""
        if self.running:
            if now - self._started > STEADY_SECONDS:
                self.pause = FIRST_PAUSE
            return ""
        if self._process is not None:
            code = self._process.returncode
            self.end_group()
            self._process = None
            self._not_before = now + self.pause
            said = (
                f"{self.name} ended ({ending(code)}); starting it again in "
                f"{self.pause:.0f} s, see {self.log}"
            )
            if code > 0 and (words := launch.tail(self.log, lines=1)):
                said += f"; it said last: {words[:300]}"
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
            return said
        if now >= self._not_before:
            self.start(now)
        return ""

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the main process a signal; its own children are its business."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end_group(self) -> None:
        """Kill whatever is left of the child and of the processes it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def stop_all(children: Sequence[Child], patience: float) -> None:
    """Ask every child to stop, insist after `patience` seconds, kill in the end."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGQUIT, 2.0)):
        for child in children:
            child.ask_to_stop(number)
        deadline = time.monotonic() + seconds
        while any(child.running for child in children):
            if time.monotonic() > deadline:
                break
            time.sleep(launch.POLL_SECONDS)
    for child in children:
        child.end_group()
