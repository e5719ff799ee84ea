"""The embedded servers: quick to start, private, and back after every accident."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portal.embedded import EmbeddedError, launch, servers
from portal.embedded.servers import EmbeddedServers
from tests.servers import directory
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
USER = """
import os, sys
from portal.embedded import ensure_running
ensure_running()
sys.stdout.write(os.environ["DATABASE_URL"] + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = directory() / "var"
    path.mkdir()
    yield path
    for name, program in (("postgres", "postgres"), ("valkey", "valkey-server")):
        launch.end_leftovers(path / name, program, None, signal.SIGKILL)


def user_of(data: Path) -> subprocess.Popen[str]:
    """A process that uses the servers until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", USER],
        cwd=ROOT,
        env={**os.environ, "DUALWRITE_DATA": str(data)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def address_of(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def end(*users: subprocess.Popen[str]) -> None:
    """End them together: the one that owns the servers waits for the others."""
    for user in users:
        assert user.stdin is not None
        user.stdin.close()
    for user in users:
        assert user.stdout is not None
        user.stdout.close()
        user.wait(60)


def postgres_of(data: Path) -> list[int]:
    return launch.processes_in(data / "postgres", "postgres")


def test_a_second_start_is_quick_and_keeps_address_and_data(
    data: Path,
) -> None:
    with servers.own(data) as first:
        with psycopg.connect(first.addresses.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        before = first.addresses
    begun = time.monotonic()
    with servers.own(data) as second:
        took = time.monotonic() - begun
        assert second.addresses == before
        with psycopg.connect(second.addresses.database_url) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (1,)
    assert took < 10
    assert postgres_of(data) == []
    assert "database_url" not in json.loads((data / "embedded.json").read_text())


def test_everything_secret_is_for_its_owner_alone(data: Path) -> None:
    with servers.own(data) as embedded:
        assert (data / "embedded.json").stat().st_mode & 0o077 == 0
        assert (data / "postgres").stat().st_mode & 0o077 == 0
        password = embedded._state["postgres_password"]
        for pid in [*postgres_of(data), embedded.valkey.pid]:
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        url = embedded.addresses.database_url.replace(password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)


def test_commands_share_the_servers_and_the_last_one_stops_them(data: Path) -> None:
    first, second = user_of(data), user_of(data)
    assert address_of(first) == address_of(second) != ""
    assert len(launch.processes_in(data / "valkey", "valkey-server")) == 1
    end(first, second)
    assert postgres_of(data) == []


def test_it_recovers_when_its_owner_was_killed(data: Path) -> None:
    user = user_of(data)
    address = address_of(user)
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    user.kill()
    end(user)
    with (
        servers.own(data) as embedded,
        psycopg.connect(embedded.addresses.database_url) as connection,
    ):
        assert connection.execute("SELECT id FROM kept").fetchone() == (1,)


def test_it_ends_a_server_that_a_killed_run_left_behind(data: Path) -> None:
    left = EmbeddedServers(data)
    left.start()
    orphan = left.postgres.pid
    with servers.own(data) as embedded:
        assert embedded.postgres.pid != orphan
        assert orphan not in postgres_of(data)
        with psycopg.connect(embedded.addresses.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    left.stop()


def test_it_starts_over_a_stale_lock_file_of_another_process(data: Path) -> None:
    with servers.own(data) as embedded:
        embedded.postgres.kill()
        stranger = subprocess.Popen(["/bin/sleep", "60"])
        lock = data / "postgres" / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    with servers.own(data):
        assert stranger.poll() is None, "a process that is not ours is left alone"
    stranger.kill()
    stranger.wait()


def test_a_lost_password_is_replaced(data: Path) -> None:
    with servers.own(data):
        pass
    (data / "embedded.json").unlink()
    with (
        servers.own(data) as embedded,
        psycopg.connect(embedded.addresses.database_url) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_it_takes_another_port_when_its_own_is_busy(data: Path) -> None:
    with servers.own(data) as embedded:
        kept = embedded.postgres.port
    with (
        socket.create_server(("127.0.0.1", kept)),
        servers.own(data) as embedded,
        psycopg.connect(embedded.addresses.database_url) as connection,
    ):
        assert embedded.postgres.port != kept
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_it_revives_a_server_that_ended_at_the_same_address(data: Path) -> None:
    with servers.own(data) as embedded:
        before = embedded.addresses
        assert embedded.revive() == []
        os.kill(embedded.postgres.pid, signal.SIGKILL)
        wait_until(lambda: not embedded.postgres.running, 10, "PostgreSQL ended")
        assert embedded.revive() == ["PostgreSQL"]
        psycopg.connect(before.database_url).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_root_runs_it_in_a_directory_that_nobody_may_enter(data: Path) -> None:
    data.chmod(0o700)
    with servers.own(data) as embedded:
        assert Path(f"/proc/{embedded.postgres.pid}").stat().st_uid != 0
        psycopg.connect(embedded.addresses.database_url).close()


@pytest.mark.parametrize(
    ("said", "code", "cure"),
    [
        ('could not write: No space left on device"', "disk_full", "DUALWRITE_DATA"),
        ("bind: Address already in use", "port_busy", "start again"),
        ("data directory has wrong ownership", "data_owner", "user who owns it"),
        ("FATAL: something else", "server_failed", "something else"),
    ],
)
def test_a_failure_is_a_sentence_with_the_cure(
    data: Path, said: str, code: str, cure: str
) -> None:
    error = launch.failure("PostgreSQL", said, data / "log", data)
    assert error.code == code
    assert cure in error.message


def test_a_full_disk_is_told(data: Path) -> None:
    if os.geteuid() != 0 or not mounted(data):
        pytest.skip("needs the right to mount a small file system")
    try:
        with pytest.raises(EmbeddedError) as caught, servers.own(data):
            pass
        assert caught.value.code in ("disk_full", "data_unwritable")
        assert str(data) in caught.value.message
        assert "DUALWRITE_DATA" in caught.value.message
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)


def mounted(data: Path) -> bool:
    """Whether `data` is now a file system of ten megabytes."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m,mode=755", "tmpfs", str(data)],
        capture_output=True,
    )
    return done.returncode == 0


def test_a_long_log_is_moved_aside_while_it_is_written(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "LOG_LIMIT", 10)
    log = data / "web.log"
    with log.open("a") as to:
        to.write("first, and long\n")
        to.flush()
        launch.shorten(log)
        to.write("second\n")
    assert log.read_text() == "second\n"
    assert (data / "web.old").read_text() == "first, and long\n"
