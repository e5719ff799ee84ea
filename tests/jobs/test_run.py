"""`make run` for real: started, asked, stopped, killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded import launch
from tests.servers import directory, memory
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90


class Run:
    """One supervisor process on its own data directory."""

    started: list[Run] = []

    def __init__(self, data: Path, *, port: str | None = None, **variables: str):
        self.data = data
        self.port = port or str(launch.free_port())
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "PORT", "DUALWRITE_PORT")
        }
        environ.update(DUALWRITE_DATA=str(data), DUALWRITE_SAMPLE="no", **variables)
        self.output = directory() / "output.txt"
        with self.output.open("w") as to:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.supervisor", f"--port={self.port}"],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        Run.started.append(self)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_until_greeted(self) -> None:
        wait_until(
            lambda: "Password:" in self.said or self.process.poll() is not None,
            START_SECONDS,
            lambda: f"a greeting: {self.said}",
        )
        assert self.process.poll() is None, self.said

    def health(self) -> dict[str, str]:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/healthz", timeout=10
        ) as response:
            return json.load(response)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Wait for the process to end by itself."""
        return self.process.wait(60)


@pytest.fixture
def data() -> Iterator[Path]:
    path = directory(memory()) / "var"
    path.mkdir()
    yield path
    while Run.started:
        Run.started.pop().kill()
    for pid in processes_of(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(path), 20, "leftovers ended")


def processes_of(data: Path) -> list[int]:
    """Every process that was started for this data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            environment = (entry / "environ").read_bytes()
            if f"DUALWRITE_DATA={data}\0".encode() in environment or Path(
                os.readlink(entry / "cwd")
            ).is_relative_to(data):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_it_starts_answers_stops_and_recovers_from_being_killed(data: Path) -> None:
    run = Run(data)
    run.wait_until_greeted()
    assert run.health()["status"] == "ok"
    address, user, password = re.findall(r": +(\S+)$", run.said, re.MULTILINE)[:3]
    assert address == f"http://127.0.0.1:{run.port}"
    assert user == "admin"
    assert (data / "admin-password").read_text().strip() == password
    assert (data / "admin-password").stat().st_mode & 0o077 == 0
    assert (data / "embedded.json").stat().st_mode & 0o077 == 0

    second = Run(data)
    assert second.end() == 1
    assert f"already runs at {address} (process {run.process.pid})" in second.said

    run.process.send_signal(signal.SIGKILL)
    run.end()
    wait_until(
        lambda: not processes_of(data),
        30,
        lambda: f"nothing survives a killed supervisor: {processes_of(data)}",
    )

    again = Run(data, port=run.port)
    again.wait_until_greeted()
    assert password in again.said
    assert again.health()["status"] == "ok"

    again.process.send_signal(signal.SIGINT)
    assert again.end() == 0, again.said
    assert "Stopped." in again.said
    assert processes_of(data) == []


def test_it_starts_a_dead_child_and_a_dead_server_again(data: Path) -> None:
    run = Run(data)
    run.wait_until_greeted()
    beat = wait_until(lambda: process_named(data, "celery -A portal beat"), 30, "beat")
    (broker,) = launch.processes_in(data / "valkey", "valkey-server")
    os.kill(beat, signal.SIGKILL)
    os.kill(broker, signal.SIGKILL)
    wait_until(
        lambda: process_named(data, "celery -A portal beat") not in (None, beat),
        30,
        lambda: f"another beat: {run.said}",
    )
    assert "beat ended (killed by SIGKILL); starting it again in" in run.said, run.said
    wait_until(lambda: healthy(run), 30, lambda: f"the broker is back: {run.said}")
    assert "Valkey had ended and was started again" in run.said
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0
    assert processes_of(data) == []


def healthy(run: Run) -> bool:
    try:
        return run.health()["status"] == "ok"
    except (urllib.error.URLError, OSError):
        return False


def process_named(data: Path, words: str) -> int | None:
    for pid in processes_of(data):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        if words in line.replace(b"\0", b" ").decode():
            return pid
    return None


def test_a_busy_port_is_a_sentence_with_the_cure(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = Run(data, port=str(port))
        assert run.end() == 1
    assert run.said.splitlines() == [
        f"Port {port} is in use by another program: stop it, or choose another port "
        f"with make run PORT={port + 1}"
    ]
    assert not (data / "postgres").exists()


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1", "80 80"])
def test_a_wrong_port_is_a_sentence(data: Path, port: str) -> None:
    run = Run(data, port=port)
    assert run.end() == 1
    assert "The port must be a number from 1 to 65535" in run.said
    assert "Traceback" not in run.said


def test_servers_that_do_not_answer_are_named(data: Path) -> None:
    port = launch.free_port()
    run = Run(data, DATABASE_URL=f"postgresql://nobody:secret@127.0.0.1:{port}/x")
    assert run.end() == 1
    assert "The PostgreSQL server of DATABASE_URL does not let us in" in run.said
    assert "secret" not in run.said

    run = Run(data, REDIS_URL=f"redis://127.0.0.1:{port}/0")
    assert run.end() == 1
    assert "The Redis or Valkey server of REDIS_URL does not answer" in run.said
    assert not (data / "postgres").exists()


def test_data_that_cannot_be_written_is_a_sentence(data: Path) -> None:
    blocked = data / "file"
    blocked.write_text("in the way")
    run = Run(blocked / "var")
    assert run.end() == 1
    assert f"Cannot write to {blocked}" in run.said
    assert "set DUALWRITE_DATA to another directory" in run.said
