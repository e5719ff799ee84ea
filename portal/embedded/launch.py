"""Starts and stops server programs safely, as root or as an ordinary user.

A program started here ends when its parent ends, however the parent ends, and
as root it runs under an account without rights: PostgreSQL refuses root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError

POLL_SECONDS = 0.01
LOG_LIMIT = 20 * 1024 * 1024


@dataclass(frozen=True)
class Account:
    """The user and group a server runs as."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def take(self, path: Path) -> None:
        """Give `path` to this account."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)


def account_for(data: Path) -> Account:
    """Who runs a server on `data`: its owner, or as root `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def may_enter(path: Path, account: Account) -> bool:
    """Whether `account` may search every directory that leads to `path`."""
    for directory in path.resolve().parents:
        found = directory.stat()
        if found.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def command(
    program: Path,
    arguments: Sequence[str],
    account: Account,
    *,
    death_signal: str,
    paths: Sequence[Path] = (),
) -> list[str]:
    """The command line that runs `program` as `account`.

    It gets `death_signal` when its parent dies. When the account may not enter
    the directories of the program or of `paths` (a project below /root), it is
    allowed to read there, and nothing more.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedError(
            "setpriv_missing",
            "The program setpriv is missing; install Debian's package util-linux.",
        )
    line = [setpriv, "--pdeathsig", death_signal]
    if not account.is_ours:
        line += ["--reuid", str(account.uid), "--regid", str(account.gid)]
        line += ["--clear-groups"]
        if not all(may_enter(path, account) for path in (program, *paths)):
            # Without the securebit, access(2) ignores the capability.
            line += ["--securebits", "+no_setuid_fixup"]
            line += ["--inh-caps", "+dac_read_search"]
            line += ["--ambient-caps", "+dac_read_search"]
    return [*line, "--", str(program), *arguments]


def spawn(
    line: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in its own session, so that Ctrl-C reaches only its parent."""
    log.parent.mkdir(parents=True, exist_ok=True)
    shorten(log)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - programs of ours, no shell
            line,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
            if environ is None
            else dict(environ),
            start_new_session=True,
        )
    if stdin is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(stdin)
    return process


def stop(
    process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]
) -> None:
    """Send each signal in turn, with its patience in seconds, then SIGKILL."""
    for number, patience in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
    if process.poll() is None:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def processes_in(directory: Path, program: str) -> list[int]:
    """Running processes of `program` whose working directory is `directory`.

    That is how a server left over from a killed run is told from every other:
    both servers work in their own data directory.
    """
    found = []
    wanted = str(directory.resolve())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() != program:
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            if os.readlink(entry / "cwd") == wanted:
                found.append(int(entry.name))
    return found


def end_leftovers(
    directory: Path, program: str, main: int | None, number: signal.Signals
) -> None:
    """End the processes of `program` that a killed run left in `directory`.

    `main` is asked first with the gentle signal `number`; what is still there
    after ten seconds is killed.
    """
    left = processes_in(directory, program)
    if not left:
        return
    for pid in [main] if main in left else left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if wait_for(lambda: not processes_in(directory, program), 10):
        return
    for pid in processes_in(directory, program):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes_in(directory, program), 5)


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shorten(log: Path) -> None:
    """Keep a log from growing for ever: beyond its limit it moves to `.old`.

    The writers have it open for appending, so it is emptied, not replaced.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(log, log.with_suffix(".old"))
            os.truncate(log, 0)


def tail(log: Path, start: int = 0, lines: int = 3) -> str:
    """The last lines written to `log` after byte `start`, on one line."""
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(start)
        text = handle.read().decode(errors="replace")
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:])


def failure(server: str, said: str, log: Path, data: Path) -> EmbeddedError:
    """The clearest sentence for a server that ended with the words `said`."""
    lowered = said.lower()
    if "no space left" in lowered:
        return EmbeddedError(
            "disk_full",
            f"{server} could not start because the disk that holds {data} is full: "
            "free some space there, or set DUALWRITE_DATA to a directory on "
            "another disk.",
        )
    if "address already in use" in lowered:
        return EmbeddedError(
            "port_busy",
            f"{server} could not start because its port was taken by another "
            "program meanwhile: start again, and it takes another port.",
        )
    if "permission denied" in lowered or "wrong ownership" in lowered:
        return EmbeddedError(
            "data_owner",
            f"{server} may not use {data}: start as the user who owns it, or set "
            f"DUALWRITE_DATA to a directory of your own. It said: {said}",
        )
    return EmbeddedError(
        "server_failed", f"{server} could not start; see {log}. It said: {said}"
    )
