"""A real Celery worker with its beat, as a process that tests start and kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import redis
from django.conf import settings

from tests.servers import directory, ground

ROOT = Path(__file__).resolve().parent.parent.parent
END_SECONDS = 20
BROKER_DATABASE = 9


class Worker:
    """One worker process on the tests' database, with the beat inside."""

    def __init__(self, *, concurrency: int = 5) -> None:
        self._concurrency = concurrency
        self._broker = f"{ground.redis().url.rsplit('/', 1)[0]}/{BROKER_DATABASE}"
        self._output = directory() / "worker.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What it logged, for messages of failed tests."""
        return self._output.read_text()[-4000:]

    def start(self) -> None:
        """Start it with an empty broker: what must survive is in rows."""
        with redis.Redis.from_url(self._broker) as broker:
            broker.flushdb()
        database = settings.DATABASES["default"]
        environ = {
            **os.environ,
            "DATABASE_URL": ground.postgres().dsn(database["NAME"]),
            "REDIS_URL": self._broker,
        }
        line = [
            *(sys.executable, "-m", "celery", "-A", "portal", "worker", "-B"),
            *("-Q", "live,initial,default", "-c", str(self._concurrency)),
            *("-s", str(self._output.with_name("schedule"))),
        ]
        with self._output.open("ab") as to:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *line],
                cwd=ROOT,
                env=environ,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a power failure would, with its pool processes and its beat."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end; after a while, make it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self.kill()
