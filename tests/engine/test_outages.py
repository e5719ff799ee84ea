"""Outages of a real target: the position is held, no record is blamed, all arrives."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from syncengine.mapping.model import Side
from syncengine.ports import LegMode, StreamReport
from tests.engine.link import Link
from tests.servers import PostgresServer, database_name
from tests.waiting import wait_until

KEEPER = "keeper"
SECRET = "of-the-keeper"


@dataclass
class Ground:
    """A link whose target has a server of its own and a role that is nobody special."""

    link: Link
    server: PostgresServer
    database: str
    written: int = 0

    def write(self, rows: int = 40) -> None:
        """New customers, a transaction each, one of them changed again."""
        for _ in range(rows):
            self.written += 1
            self.link.erp.execute(
                "INSERT INTO customers (dataareaid, account, name, memo) "
                "VALUES ('usmf', %s, 'a', repeat('x', 400))",
                [f"W{self.written}"],
            )
        self.link.erp.execute(
            "UPDATE customers SET name = 'b' WHERE account = %s", [f"W{self.written}"]
        )

    def sql(self, statement: str) -> None:
        aside = statement.startswith(("ALTER DATABASE", "ALTER ROLE"))
        self.server.execute(statement, "postgres" if aside else self.database)

    def cut(self) -> None:
        """End the sessions of the streams on the target."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE usename = '{KEEPER}' AND application_name LIKE 'dualwrite%'"
        )

    def says(self, words: str) -> None:
        """Wait until the stream to the target says so, holding its position."""

        def report() -> StreamReport | None:
            return self.link.state.reports.get(Side.FINOPS)

        wait_until(
            lambda: (r := report()) is not None and words in r.message,
            20,
            lambda: f"{words!r}: {self.link.state.reports} {self.link.failed}",
        )

    def arrives(self) -> None:
        """Everything is there, and nothing was ever blamed on a record."""
        wait_until(
            lambda: self.server_count() == self.written and not self.link.state.errors,
            40,
            lambda: (
                f"{self.server_count()} of {self.written}, {self.link.state.reports}"
            ),
        )
        assert not self.link.state.closed
        wait_until(lambda: self.link.reports("running"))

    def server_count(self) -> int:
        with psycopg.connect(self.server.dsn(self.database)) as connection:
            row = connection.execute("SELECT count(*) FROM accounts").fetchone()
        return int(row[0]) if row else 0


@pytest.fixture
def outage(make_database: Callable[..., str]) -> Iterator[Ground]:
    server = PostgresServer.start(version=18)
    server.execute(f"CREATE ROLE {KEEPER} LOGIN REPLICATION PASSWORD '{SECRET}'")
    crm = server.create_database("crm")
    name = database_name(crm)
    server.execute(f"ALTER DATABASE {name} OWNER TO {KEEPER}")
    server.execute(f"ALTER SCHEMA public OWNER TO {KEEPER}", name)
    link = Link(make_database(prefix="erp"), server.dsn(name, KEEPER, SECRET))
    link.start()
    ground = Ground(link, server, name)
    ground.write(5)
    ground.arrives()
    yield ground
    link.stop()
    link.finops.uninstall(link.name)
    link.erp.close()
    link.crm.close()
    server.stop()


def test_what_is_wrong_with_the_server_is_said_and_blamed_on_no_record(
    outage: Ground,
) -> None:
    database = outage.database
    outages = [
        (
            "REVOKE INSERT, UPDATE ON accounts FROM keeper",
            "GRANT INSERT, UPDATE ON accounts TO keeper",
            "lacks a right: permission denied for table accounts",
        ),
        (
            f"ALTER DATABASE {database} SET default_transaction_read_only = on",
            f"ALTER DATABASE {database} RESET default_transaction_read_only",
            "is read only at the moment",
        ),
        (
            f"ALTER ROLE {KEEPER} CONNECTION LIMIT 0",
            f"ALTER ROLE {KEEPER} CONNECTION LIMIT -1",
            "accepts no more connections",
        ),
    ]
    for break_it, mend_it, words in outages:
        outage.sql(break_it)
        outage.cut()
        outage.write()
        outage.says(words)
        assert not outage.link.state.errors, words
        outage.sql(mend_it)
        outage.cut()
        outage.arrives()


def test_a_target_that_is_down_for_a_while_gets_everything_retries_too(
    outage: Ground,
) -> None:
    link = outage.link
    outage.sql("ALTER TABLE accounts ADD CONSTRAINT few CHECK (name <> 'no')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'N', 'no')"
    )
    wait_until(lambda: len(link.state.errors) == 1)
    outage.sql("ALTER TABLE accounts DROP CONSTRAINT few")
    outage.sql("CHECKPOINT")
    outage.server.kill()
    link.state.retry_all()
    outage.write(200)
    outage.says("cannot be reached")
    (error,) = link.state.errors.values()
    assert (error.count, error.failure.code) == (1, "check_violated")
    outage.server.resume()
    outage.written += 1
    wait_until(
        lambda: outage.server_count() == outage.written and not link.state.errors,
        40,
        lambda: f"{outage.server_count()} {link.state.errors} {link.state.reports}",
    )
    assert [state for _, state in link.state.closed] == ["resolved"]


def test_a_full_disk_of_the_target_holds_the_position(
    outage: Ground, tmp_path: Path
) -> None:
    disk = Path("/var/tmp") / f"dualwrite-disk-{os.getpid()}"  # noqa: S108
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        disk.rmdir()
        pytest.skip("a small file system can only be mounted as root")
    try:
        place = disk / "space"
        place.mkdir()
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
        outage.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        outage.link.set_mode(2, LegMode.LIVE)
        outage.sql("ALTER TABLE accounts SET TABLESPACE small")
        fill(disk)
        outage.write(100)
        outage.says("The disk of crm is full")
        assert not outage.link.state.errors
        (disk / "filler").unlink()
        outage.arrives()
        outage.sql("ALTER TABLE accounts SET TABLESPACE pg_default")
        outage.sql("DROP TABLESPACE small")
    finally:
        outage.link.stop()
        outage.server.kill()
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()
        outage.server.resume()


def fill(disk: Path) -> None:
    """Take all that is left of the file system."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return
