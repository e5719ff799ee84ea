"""Both embedded servers of one data directory, shared by all our processes.

One process owns the servers, is their parent and holds the lock `embedded.lock`;
others use them meanwhile and hold `embedded.users` together. `embedded.json` tells
everybody the addresses while the servers run.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from portal.embedded import postgres, valkey
from portal.embedded.errors import EmbeddedError
from portal.embedded.postgres import PostgresCluster
from portal.embedded.valkey import ValkeyServer

PORTAL_DATABASE = "dualwrite"
WAIT_SECONDS = 90.0
VARIABLES = ("DATABASE_URL", "REDIS_URL")


@dataclass(frozen=True)
class Addresses:
    """Where the portal's database and broker are."""

    database_url: str
    redis_url: str


def data_directory() -> Path:
    """Where this installation keeps its data: DUALWRITE_DATA, or `var`."""
    project = Path(__file__).resolve().parent.parent.parent
    return Path(os.environ.get("DUALWRITE_DATA") or project / "var").resolve()


def given(name: str) -> bool:
    """Whether the administrator named a server of their own."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


class EmbeddedServers:
    """The servers below `data`, for the one process that owns them."""

    def __init__(
        self, data: Path, *, with_postgres: bool = True, with_valkey: bool = True
    ) -> None:
        self.data = data
        self.state_path = data / "embedded.json"
        self._state = read_state(data)
        self._state.pop("database_url", None)
        self._state.pop("redis_url", None)
        logs = data / "log"
        self.postgres: PostgresCluster | None = None
        self.valkey: ValkeyServer | None = None
        if with_postgres:
            self.postgres = PostgresCluster(
                postgres.embedded_programs(),
                data / "postgres",
                password=self._password("postgres_password"),
                log=logs / "postgres.log",
            )
        if with_valkey:
            self.valkey = ValkeyServer(
                valkey.embedded_program(),
                data / "valkey",
                password=self._password("valkey_password"),
                log=logs / "valkey.log",
            )

    def start(self) -> Addresses:
        """Start both and make the portal's database; say where they are."""
        kept = read_state(self.data)
        self._write()
        if self.postgres is not None:
            if self.postgres.exists and "postgres_password" not in kept:
                self.postgres.set_password()
            self.postgres.start(self._state.get("postgres_port"))
            self._state["postgres_port"] = self.postgres.port
            make_database(self.postgres.url(), PORTAL_DATABASE)
            self._state["database_url"] = self.postgres.url(PORTAL_DATABASE)
        if self.valkey is not None:
            self.valkey.start(self._state.get("valkey_port"))
            self._state["valkey_port"] = self.valkey.port
            self._state["redis_url"] = self.valkey.url()
        self._write()
        return self.addresses

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            self._state.get("database_url", ""), self._state.get("redis_url", "")
        )

    def revive(self) -> list[str]:
        """Start again, at the same address, what ended by itself; its names."""
        revived = []
        for name, server in (("PostgreSQL", self.postgres), ("Valkey", self.valkey)):
            if server is None or server.running:
                continue
            port = server.port
            server.start(port)
            if server.port != port:
                server.stop()
                raise EmbeddedError(
                    "port_busy",
                    f"{name} ended and its port {port} was taken by another "
                    "program: start the portal again.",
                )
            revived.append(name)
        return revived

    def stop(self) -> None:
        """Stop both within half a minute."""
        for name in ("database_url", "redis_url"):
            self._state.pop(name, None)
        with contextlib.suppress(OSError):
            self._write()
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.stop()

    def _password(self, name: str) -> str:
        return str(self._state.setdefault(name, secrets.token_hex(20)))

    def _write(self) -> None:
        draft = self.state_path.with_suffix(".new")
        try:
            with os.fdopen(
                os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w"
            ) as to:
                json.dump(self._state, to, indent=1)
            draft.replace(self.state_path)
        except OSError as error:
            raise unwritable(self.data, error) from error


def read_state(data: Path) -> dict[str, Any]:
    """What `embedded.json` says; {} when there is none or it is broken."""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((data / "embedded.json").read_text())
        if isinstance(state, dict):
            return state
    return {}


def make_database(url: str, name: str) -> None:
    """Create the database `name` on the server of `url` unless it is there."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [name]
        ).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            )


def unwritable(data: Path, error: OSError) -> EmbeddedError:
    """The sentence for a data directory that takes no files."""
    return EmbeddedError(
        "data_unwritable",
        f"Cannot write to {data} ({error.strerror or error}): free space or grant "
        "access there, or set DUALWRITE_DATA to another directory.",
    )


def open_lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise unwritable(path.parent, error) from error


def locked(lock: IO[str], mode: int) -> bool:
    """Whether the lock was to be had at once."""
    try:
        fcntl.flock(lock, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def own(data: Path) -> Iterator[EmbeddedServers]:
    """The servers below `data`, started, as their only owner; for the supervisor.

    Waits for a command that owns them at present to end.
    """
    with open_lock(data / "embedded.lock") as lock:
        deadline = time.monotonic() + WAIT_SECONDS
        while not locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    "in_use",
                    f"Another command still uses the embedded servers of {data}: "
                    "wait until it ends, or stop it, and start again.",
                )
            time.sleep(0.05)
        servers = EmbeddedServers(
            data,
            with_postgres=not given("DATABASE_URL"),
            with_valkey=not given("REDIS_URL"),
        )
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()


def ensure_running(data: Path | None = None) -> None:
    """Have both servers running for this process, and name them in the environment.

    Servers that DATABASE_URL or REDIS_URL name are left alone. Servers that
    another process of this data directory runs are used; else they are started
    here and stopped when this process and all other users of them have ended.
    """
    if all(given(name) for name in VARIABLES):
        return
    data = data or data_directory()
    owner = open_lock(data / "embedded.lock")
    users = open_lock(data / "embedded.users")
    deadline = time.monotonic() + WAIT_SECONDS
    addresses: Addresses | None = None
    while addresses is None:
        if locked(owner, fcntl.LOCK_EX):
            addresses = _start_until_exit(data, owner, users)
        elif locked(users, fcntl.LOCK_SH):
            addresses = _running(data)
            if addresses is None:
                fcntl.flock(users, fcntl.LOCK_UN)
            else:
                atexit.register(users.close)
        if addresses is None:
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    "start_timeout",
                    f"The embedded servers of {data} are being started or stopped "
                    "by another process and were not ready in time: try again.",
                )
            time.sleep(0.05)
    for name, address in zip(
        VARIABLES, (addresses.database_url, addresses.redis_url), strict=True
    ):
        if address and not given(name):
            os.environ[name] = address


def _start_until_exit(data: Path, owner: IO[str], users: IO[str]) -> Addresses:
    """Start the servers; stop them at exit, when nobody else uses them any more."""
    servers = EmbeddedServers(
        data,
        with_postgres=not given("DATABASE_URL"),
        with_valkey=not given("REDIS_URL"),
    )

    def release() -> None:
        fcntl.flock(users, fcntl.LOCK_EX)
        servers.stop()
        owner.close()
        users.close()

    atexit.register(release)
    return servers.start()


def _running(data: Path) -> Addresses | None:
    """The addresses that the owner wrote down, when something listens there."""
    state = read_state(data)
    addresses = Addresses(state.get("database_url", ""), state.get("redis_url", ""))
    wanted = [
        address
        for name, address in zip(
            VARIABLES, (addresses.database_url, addresses.redis_url), strict=True
        )
        if not given(name)
    ]
    for address in wanted:
        try:
            port = urlsplit(address).port
            if not port:
                return None
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return None
    return addresses
