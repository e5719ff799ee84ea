"""Real PostgreSQL and Valkey servers for the tests, started by the tests."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from portal.embedded.postgres import PostgresCluster, embedded_programs
from portal.embedded.valkey import ValkeyServer, embedded_program
from tests.waiting import wait_until

PASSWORD = "test-password"
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
FAST = {
    **{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"},
    "max_wal_size": "512MB",
    # In the data's directory, so that a server that is killed leaves nothing behind.
    "dynamic_shared_memory_type": "mmap",
}
MEMORY = Path("/dev/shm")  # noqa: S108 - directories there have names of their own
ROOM = 8 << 30
"""Bytes that must be free in memory for the servers of all processes of a run."""
QUICK_PASSWORDS = {"scram_iterations": "1"}
"""Checking a password takes long on purpose, and tests connect ten thousand times.
PostgreSQL 15 cannot be told."""


def sweep() -> None:
    """Remove directories of test runs that were killed."""
    for place in (Path(tempfile.gettempdir()), MEMORY):
        for path in place.glob("dualwrite-test-*"):
            pid = re.match(r"dualwrite-test-(\d+)-", path.name)
            if pid and not Path("/proc", pid[1]).exists():
                shutil.rmtree(path, ignore_errors=True)


def memory() -> Path | None:
    """A file system in memory, where there is one with room. Tests make thousands of
    databases, of three hundred files each: on a disk that takes ten times as long."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    free = min(shutil.disk_usage(MEMORY).free, _available())
    return MEMORY if free >= ROOM else None


def _available() -> int:
    """Bytes of memory that programs may still take."""
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text())
        return int(found[1]) << 10 if found else 0
    return 0


def directory(within: Path | None = None) -> Path:
    """A new directory that goes away with this process."""
    prefix = f"dualwrite-test-{os.getpid()}-"
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def url(
    host: str, port: int | str, user: str, password: str, database: str = "postgres"
) -> str:
    """A connection string for both psycopg and DATABASE_URL."""
    secret = f":{quote(password, safe='')}" if password else ""
    return f"postgresql://{quote(user, safe='')}{secret}@{host}:{port}/{database}"


class PostgresServer:
    """A PostgreSQL server that tests may use, stop, kill and start again.

    Its superuser is `user` with `password`; every connection needs a password.
    """

    def __init__(
        self, host: str, port: int, user: str, password: str, version: int
    ) -> None:
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.version = version
        self.cluster: PostgresCluster | None = None

    @classmethod
    def start(
        cls, version: int = 18, settings: Mapping[str, str] | None = None
    ) -> PostgresServer:
        """A new server: 18 from the wheel, 15 from Debian's package."""
        programs = {18: embedded_programs, 15: lambda: DEBIAN_15}[version]()
        if not (programs / "postgres").exists():
            raise RuntimeError(
                "PostgreSQL 15 is missing: run make setup, or apt-get install "
                "postgresql-15."
            )
        home = directory(memory())
        quick = QUICK_PASSWORDS if version >= 16 else {}
        cluster = PostgresCluster(
            programs,
            home / "data",
            password=PASSWORD,
            log=home / "postgres.log",
            settings={**FAST, **quick, **(settings or {})},
        )
        cluster.start()
        atexit.register(cluster.kill)
        server = cls("127.0.0.1", cluster.port, "postgres", PASSWORD, version)
        server.cluster = cluster
        if quick:  # the superuser's was made before the server knew
            server.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
        return server

    @classmethod
    def external(cls, given: str) -> PostgresServer:
        """A server that runs already, as DATABASE_URL names it."""
        parts = conninfo_to_dict(given)
        with psycopg.connect(given, connect_timeout=10) as connection:
            version = connection.info.server_version // 10000
        return cls(
            str(parts.get("host", "127.0.0.1")),
            int(parts.get("port", 5432)),
            str(parts.get("user", "postgres")),
            str(parts.get("password", "")),
            version,
        )

    def dsn(
        self, database: str = "postgres", user: str = "", password: str = ""
    ) -> str:
        """The connection URL; of the superuser unless another role is named."""
        if user:
            return url(self.host, self.port, user, password, database)
        return url(self.host, self.port, self.user, self.password, database)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def create_database(self, prefix: str = "test", template: str = "") -> str:
        """A new, empty database; its connection URL."""
        name = f"{prefix}_{uuid.uuid4().hex[:10]}"
        # Copying files takes half the time of copying through the log.
        statement = sql.SQL("CREATE DATABASE {} STRATEGY file_copy TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template1")
        )
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database with whatever still uses it: sessions and slots."""
        name = database_name(dsn)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:

            def without_slots() -> bool:
                connection.execute(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                    " WHERE database = %s AND active_pid IS NOT NULL",
                    [name],
                )
                with contextlib.suppress(psycopg.errors.ObjectInUse):
                    connection.execute(
                        "SELECT pg_drop_replication_slot(slot_name)"
                        " FROM pg_replication_slots WHERE database = %s",
                        [name],
                    )
                    return True
                return False

            wait_until(without_slots, 20, f"replication slots of {name} dropped")
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(name)
                )
            )

    def restart(self) -> None:
        """Stop orderly and start again on the same port."""
        assert self.cluster is not None
        self.cluster.stop()
        self.resume()

    def kill(self) -> None:
        """End at once, as a power failure would."""
        assert self.cluster is not None
        self.cluster.kill()

    def resume(self) -> None:
        """Start again after `kill` or `stop`, on the same port."""
        assert self.cluster is not None
        self.cluster.start(self.port)
        assert self.cluster.port == self.port

    def stop(self) -> None:
        if self.cluster is not None:
            self.cluster.stop()


def database_name(dsn: str) -> str:
    """The database that a connection string names."""
    return str(conninfo_to_dict(dsn)["dbname"])


class RedisServer:
    """A Valkey (or, with REDIS_URL, any Redis) for the broker."""

    def __init__(self, address: str) -> None:
        self.url = address
        self.server: ValkeyServer | None = None

    @classmethod
    def start(cls) -> RedisServer:
        home = directory()
        server = ValkeyServer(
            embedded_program(),
            home / "valkey",
            password=PASSWORD,
            log=home / "valkey.log",
        )
        server.start()
        atexit.register(server.kill)
        started = cls(server.url())
        started.server = server
        return started

    def database(self, number: int) -> str:
        """The URL of another of its databases."""
        return urlsplit(self.url)._replace(path=f"/{number}").geturl()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()


class Ground:
    """The servers of this test session, started when first asked for."""

    def __init__(self) -> None:
        self._postgres: PostgresServer | None = None
        self._postgres15: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self.migrated = ""
        """The name of a database with the portal's tables, to be copied."""

    def postgres(self) -> PostgresServer:
        if self._postgres is None:
            sweep()
            given = os.environ.get("DATABASE_URL", "")
            self._postgres = (
                PostgresServer.external(given) if given else PostgresServer.start(18)
            )
        return self._postgres

    def postgres15(self) -> PostgresServer:
        if self._postgres15 is None:
            self._postgres15 = PostgresServer.start(15)
        return self._postgres15

    def redis(self) -> RedisServer:
        if self._redis is None:
            given = os.environ.get("REDIS_URL", "")
            self._redis = RedisServer(given) if given else RedisServer.start()
        return self._redis

    def end(self) -> None:
        """End the servers that were started here, and their data with them."""
        for server in (self._postgres, self._postgres15):
            if server is not None and server.cluster is not None:
                server.kill()
        if self._redis is not None:
            self._redis.stop()


ground = Ground()


def postgres_server() -> PostgresServer:
    """The session's PostgreSQL 18 (or the one DATABASE_URL names)."""
    return ground.postgres()
