"""A whole portal for tests: its own database and broker, a real worker and beat."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.servers import PostgresServer, RedisServer, directory
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90
END_SECONDS = 60
SLOTS = 8
"""Tasks one worker does at a time; each linked pair of databases takes two."""

_numbers = itertools.count(3)


def _mortal(module: str, *arguments: str) -> list[str]:
    """The command that runs a Python module, for as long as this process lives."""
    return ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", module, *arguments]


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


class Process:
    """One process of the portal, leader of its own process group."""

    def __init__(self, name: str, arguments: list[str], portal: Portal) -> None:
        self.name = name
        self.log = portal.data / f"{name}.log"
        role = "worker" if "worker" in arguments else "beat"
        with self.log.open("a") as to:
            self.popen = subprocess.Popen(
                _mortal("celery", "-A", "portal", *arguments),
                cwd=ROOT,
                env={**portal.environ, "DUALWRITE_PROCESS": role},
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill_main(self) -> None:
        """SIGKILL to the main process alone; the pool must not survive it."""
        self.popen.kill()
        self.popen.wait()

    def kill_group(self) -> None:
        """SIGKILL to every process of the worker at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self, seconds: float) -> float:
        """SIGTERM, as a supervisor does; the seconds the whole group took to end."""
        begun = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        wait_until(
            lambda: not self.running and not self.members(),
            seconds,
            lambda: f"{self.name} ended; still there: {self.members()}\n{self.tail()}",
        )
        return time.monotonic() - begun

    def members(self) -> list[int]:
        """Living processes of the group."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(words[2]) == self.popen.pid and words[0] != "Z":
                    found.append(int(entry.name))
        return found

    def tail(self, characters: int = 3000) -> str:
        return f"--- {self.name} ---\n{self.log.read_text()[-characters:]}"


class Portal:
    """The portal's database, migrated or the copy of one that is, and whatever
    processes a test starts on it."""

    def __init__(
        self, server: PostgresServer, broker: RedisServer, migrated: str = ""
    ) -> None:
        self.server = server
        self.data = directory()
        self.dsn = server.create_database("portal", migrated)
        url = broker.database(next(_numbers))
        with contextlib.closing(redis.Redis.from_url(url)) as connection:
            connection.flushdb()
        self.environ = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "REDIS_URL": url,
            "DUALWRITE_DATA": str(self.data),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONWARNINGS": "default",
        }
        self.workers: dict[str, Process] = {}
        self.beat: Process | None = None
        self._console: subprocess.Popen[str] | None = None
        if not migrated:
            done = self.manage("migrate", "--verbosity", "0")
            assert done.code == 0, done.err
        self.sql = psycopg.connect(self.dsn, autocommit=True)

    # -- commands -------------------------------------------------------------------

    def manage(self, *arguments: str, timeout: float = 180) -> Ran:
        """Run manage.py to its end."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def dw(self, *arguments: str, timeout: float = 180) -> Ran:
        """Run the command line as a process of its own."""
        return self.manage("dw", *arguments, timeout=timeout)

    def ask(self, *arguments: str) -> Ran:
        """The same command in a process that is loaded already."""
        if self._console is None or self._console.poll() is not None:
            with (self.data / "console.log").open("a") as log:
                self._console = subprocess.Popen(
                    _mortal("tests.jobs.console"),
                    cwd=ROOT,
                    env=self.environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
        assert self._console.stdin is not None
        assert self._console.stdout is not None
        self._console.stdin.write(json.dumps(arguments) + "\n")
        self._console.stdin.flush()
        line = self._console.stdout.readline()
        assert line, (self.data / "console.log").read_text()[-3000:]
        return Ran(*json.loads(line))

    def must(self, *arguments: str) -> Any:
        """`ask`, expecting success; the JSON document."""
        ran = self.ask(*arguments, "--json")
        assert ran.code == 0, f"dw {arguments}: {ran.err}\n{ran.out}\n{self.tails()}"
        return ran.json

    def forget(self, connection_set: str) -> None:
        """Remove a connection set with its maps and environments; its streams have
        ended when this returns."""
        found = self.rows(
            "SELECT t.id FROM environments_stream t JOIN environments_connectionset s"
            " ON s.id = t.connection_set_id WHERE s.name = %s",
            connection_set,
        )
        assert self.ask("forget", connection_set).code == 0
        streams = [row[0] for row in found]
        wait_until(
            lambda: (
                not self.rows(
                    "SELECT objid FROM pg_locks WHERE locktype = 'advisory'"
                    " AND classid = 25719 AND objid::bigint = ANY(%s) AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())",
                    streams,
                )
            ),
            END_SECONDS,
            lambda: f"streams {streams} ended\n{self.tails()}",
        )

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the portal's own database."""
        return self.sql.execute(query, parameters).fetchall()  # type: ignore[call-overload]

    # -- processes ------------------------------------------------------------------

    def start(self) -> None:
        """A worker and beat, unless they run."""
        if self.beat is None or not self.beat.running:
            schedule = str(self.data / "schedule")
            self.beat = Process(
                "beat",
                ["beat", "--schedule", schedule, "--pidfile", "", "-l", "WARNING"],
                self,
            )
        if not any(worker.running for worker in self.workers.values()):
            self.start_worker()

    def start_worker(self, name: str = "w1") -> Process:
        """A worker of all queues; returns when it takes tasks."""
        known = self.workers.get(name)
        begun = known.log.stat().st_size if known else 0
        worker = Process(
            name,
            [
                *("worker", "-Q", "live,initial,default", "-c", str(SLOTS)),
                *("--hostname", f"{name}@%h", "--without-gossip", "--without-mingle"),
                *("-l", "INFO"),
            ],
            self,
        )
        self.workers[name] = worker
        wait_until(
            lambda: " ready." in worker.log.read_text()[begun:] or not worker.running,
            START_SECONDS,
            lambda: f"the worker takes tasks\n{worker.tail()}",
        )
        assert worker.running, worker.tail()
        return worker

    @property
    def worker(self) -> Process:
        """The worker that runs (the first of several)."""
        return next(worker for worker in self.workers.values() if worker.running)

    def keep_one_worker(self) -> None:
        """End workers a test has added."""
        for name in [n for n, worker in self.workers.items() if n != "w1"]:
            self.workers.pop(name).kill_group()

    def tails(self) -> str:
        """The ends of all logs, for messages of failed tests."""
        processes = [*self.workers.values(), *([self.beat] if self.beat else [])]
        return "\n".join(process.tail() for process in processes)

    def close(self) -> None:
        """End all processes and drop the database."""
        for process in [*self.workers.values(), *([self.beat] if self.beat else [])]:
            process.kill_group()
        if self._console is not None:
            self._console.communicate(timeout=20)
        self.sql.close()
        self.server.drop_database(self.dsn)
