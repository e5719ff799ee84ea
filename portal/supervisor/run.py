"""Starts everything in order, keeps it running, stops it in order."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from portal.embedded import EmbeddedError, given, launch, servers
from portal.embedded.servers import EmbeddedServers
from portal.supervisor import outside
from portal.supervisor.child import Child, stop_all
from portal.supervisor.prepare import ADMINISTRATOR, PASSWORD_FILE

PROJECT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 90.0
STOP_SECONDS = 10.0
TICK_SECONDS = 0.2
SAMPLE_MADE = "sample-made"


def say(text: str, *, error: bool = False) -> None:
    """Tell the person at the terminal; a closed terminal is no reason to fail."""
    try:
        to = sys.stderr if error else sys.stdout
        to.write(f"{text}\n")
        to.flush()
    except OSError:
        return


class Stopping(Exception):
    """Somebody asked us to stop."""


class Supervisor:
    """The whole portal as one process tree on `port`, with its state in `data`.

    `run` returns when it was asked to stop (Ctrl-C, SIGTERM, SIGHUP) and nothing
    it started is left.
    """

    def __init__(self, data: Path, port: int, *, reload: bool = False) -> None:
        self.data = data
        self.port = port
        self.reload = reload
        self.host = os.environ.get("DUALWRITE_HOST", "127.0.0.1")
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        self.address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        self.children: list[Child] = []
        self.stopping = False

    def run(self) -> int:
        """Start, tend and stop everything."""
        os.chdir(PROJECT)
        os.environ["DUALWRITE_DATA"] = str(self.data)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self._ask_to_stop)
        lock = servers.open_lock(self.data / "supervisor.lock")
        if not servers.locked(lock, fcntl.LOCK_EX):
            raise self._running_already()
        outside.check_port(self.host, self.port)
        outside.check_given_servers()
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "address": self.address}))
        lock.flush()
        try:
            self._run()
        except Stopping:
            say("Stopped.")
        return 0

    def _run(self) -> None:
        if not given("DATABASE_URL") or not given("REDIS_URL"):
            say("Starting the embedded servers ...")
        with servers.own(self.data) as embedded:
            addresses = embedded.addresses
            if not given("DATABASE_URL"):
                os.environ["DATABASE_URL"] = addresses.database_url
            if not given("REDIS_URL"):
                os.environ["REDIS_URL"] = addresses.redis_url
            self._check_stopping()
            say("Bringing the database up to date ...")
            self._command("-m", "portal.supervisor.prepare")
            self.children = self._make_children()
            try:
                say("Starting web, workers and beat ...")
                for child in self.children:
                    child.start(time.monotonic())
                if embedded.postgres is not None:
                    self._make_sample()
                self._wait_until_ready()
                self._greet()
                while True:
                    self._tend(embedded)
            finally:
                say("Stopping ...")
                stop_all(self.children, STOP_SECONDS)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _check_stopping(self) -> None:
        if self.stopping:
            raise Stopping

    def _tend(self, embedded: EmbeddedServers) -> None:
        """One look at everything that should run."""
        self._check_stopping()
        for name in embedded.revive():
            say(f"{name} had ended and was started again; see {self.data / 'log'}")
        for log in (self.data / "log").glob("*.log"):
            launch.shorten(log)
        for child in self.children:
            if said := child.tend(time.monotonic()):
                say(said, error=True)
        time.sleep(TICK_SECONDS)

    def _make_children(self) -> list[Child]:
        python = sys.executable
        bind = f"[{self.host}]" if ":" in self.host else self.host
        worker = ("-m", "celery", "-A", "portal", "worker", "--loglevel", "INFO")
        quiet = ("--without-gossip", "--without-mingle")
        return [
            self._child(
                "web",
                *(python, "-m", "gunicorn", "portal.wsgi"),
                *("--bind", f"{bind}:{self.port}", "--no-control-socket"),
                *("--worker-class", "gthread", "--workers", "2", "--threads", "8"),
                *("--limit-request-line", "8190"),
                *("--graceful-timeout", "5", "--worker-tmp-dir", shared_memory()),
                "--reload" if self.reload else "--preload",
            ),
            self._child(
                "live",
                *(python, *worker, "-Q", "live", "--concurrency", "8"),
                *("--hostname", "live@%h", *quiet),
            ),
            self._child(
                "jobs",
                *(python, *worker, "-Q", "initial,default", "--concurrency", "2"),
                *("--hostname", "jobs@%h", *quiet),
            ),
            self._child(
                "beat",
                *(python, "-m", "celery", "-A", "portal", "beat"),
                *("--loglevel", "WARNING", "--pidfile", ""),
                *("--schedule", str(self.data / "celerybeat-schedule")),
            ),
        ]

    def _child(self, name: str, *line: str) -> Child:
        process = {"live": "worker", "jobs": "worker"}.get(name, name)
        return Child(
            name,
            line,
            log=self.data / "log" / f"{name}.log",
            environ={**os.environ, "DUALWRITE_PROCESS": process},
        )

    def _command(self, *arguments: str) -> None:
        """Run Python to its end with our terminal, which is for people: log lines
        only where something is wrong. Its failure is ours."""
        account = launch.Account(os.geteuid(), os.getegid())
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            launch.command(
                Path(sys.executable), arguments, account, death_signal="KILL"
            ),
            env={"LOG_LEVEL": "WARNING", **os.environ},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                self._check_stopping()
                time.sleep(launch.POLL_SECONDS)
        except BaseException:
            launch.stop(process, (signal.SIGTERM, 5))
            raise
        if process.returncode:
            raise EmbeddedError(
                "preparation_failed",
                f"This step failed: {' '.join(arguments)}. Its words are above; "
                "mend the cause and start again.",
            )

    def _make_sample(self) -> None:
        """Make the sample companies once in the life of this data directory."""
        made = self.data / SAMPLE_MADE
        if made.exists() or os.environ.get("DUALWRITE_SAMPLE", "yes") == "no":
            return
        if not has_sample():
            return
        say("Making the sample companies ...")
        self._command("manage.py", "sample")
        made.touch()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        web = self.children[0]
        while not answers(f"{self.address}/healthz"):
            self._check_stopping()
            if not web.running or time.monotonic() > deadline:
                raise EmbeddedError(
                    "not_ready",
                    f"The web pages do not answer at {self.address}; see {web.log}. "
                    f"It said last: {launch.tail(web.log)}",
                )
            time.sleep(0.05)

    def _greet(self) -> None:
        kept = self.data / PASSWORD_FILE
        password = (
            kept.read_text().strip()
            if kept.exists()
            else "the one you chose (manage.py changepassword sets another)"
        )
        say(
            f"\n  Dual-write portal: {self.address}\n"
            f"  User:              {ADMINISTRATOR}\n"
            f"  Password:          {password}\n\n"
            f"  Logs: {self.data / 'log'}   Stop: Ctrl-C\n"
        )

    def _running_already(self) -> EmbeddedError:
        try:
            found = json.loads((self.data / "supervisor.lock").read_text())
            where = f"at {found['address']} (process {found['pid']})"
            how = f"stop it with Ctrl-C there or with: kill {found['pid']}"
        except (OSError, ValueError, KeyError, TypeError):
            where, how = f"with the data of {self.data}", "stop it first"
        return EmbeddedError(
            "running_already", f"The portal already runs {where}; {how}"
        )


def has_sample() -> bool:
    """Whether this copy of the project brings sample companies."""
    commands: Sequence[Path] = list(PROJECT.glob("portal/**/management/commands"))
    return any((folder / "sample.py").exists() for folder in commands)


def shared_memory() -> str:
    """Where gunicorn may beat without touching a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"  # noqa: S108


def answers(url: str) -> bool:
    """Whether `url` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
