"""Synchronous mode with real workers: users wait for the other side, never for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.jobs.pair import SECONDS, Pair
from tests.jobs.portal import Portal
from tests.servers import PostgresServer, database_name
from tests.waiting import wait_until

TIMEOUT = 4
PATIENCE = TIMEOUT + 10
"""Generous where other tests take the processor; a user locked out waits for ever."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of these tests' own: the setting would hold for all databases."""
    made = PostgresServer.start(settings={"synchronous_commit": "on"})
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def nobody_waits(
    make_pair: Callable[..., Pair], server: PostgresServer
) -> Iterator[None]:
    """Whatever a test leaves behind, its databases can be dropped afterwards."""
    yield
    server.execute("ALTER SYSTEM RESET synchronous_standby_names")
    server.execute("SELECT pg_reload_conf()")
    server.execute(
        "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles"
        " WHERE rolname LIKE 'product%' LOOP EXECUTE format('REVOKE ALTER SYSTEM"
        " ON PARAMETER synchronous_standby_names FROM %I', r); END LOOP; END $$"
    )


def sessions(server: PostgresServer) -> str:
    """Who waits for whom, for messages of failed tests."""
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        found = [
            *session.execute(
                "SELECT application_name, state, sync_state, flush_lsn,"
                " pg_current_wal_flush_lsn() FROM pg_stat_replication"
            ),
            *session.execute(
                "SELECT application_name, datname, state, wait_event, left(query, 60)"
                " FROM pg_stat_activity WHERE datname IS NOT NULL"
            ),
        ]
    return "\n".join(map(str, found))


class User:
    """Commits one row after another on the ERP side, and notes what it met."""

    def __init__(self, pair: Pair, name: str, table: str = "customers") -> None:
        self._pair = pair
        self._table = table
        self._name = name
        self._ended = threading.Event()
        self.longest = 0.0
        self.done = 0
        self.begun = 0.0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        with psycopg.connect(self._pair.databases["erp"], autocommit=True) as erp:
            while not self._ended.is_set():
                self.begun = time.monotonic()
                add_customer(erp, f"{self._name}{self.done}", self._table)
                self.longest = max(self.longest, time.monotonic() - self.begun)
                self.done += 1
                self._ended.wait(0.02 if self._table == "customers" else 0)

    def stop(self) -> None:
        self._ended.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        assert self.longest < PATIENCE


def add_customer(
    session: psycopg.Connection[tuple[object, ...]],
    key: str,
    table: str = "customers",
) -> None:
    session.execute(
        f"INSERT INTO {table} (dataareaid, account, name)"
        " VALUES ('usmf', %s, 'N')".encode(),
        [key],
    )


def seen(pair: Pair, table: str, column: str, key: str) -> bool:
    session = pair.crm if table == "accounts" else pair.erp
    query = f"SELECT 1 FROM {table} WHERE {column} = %s"
    return session.execute(query.encode(), [key]).fetchone() is not None


def modes(pair: Pair) -> dict[str, str]:
    document = pair.portal.must("sync-mode", pair.name)
    return {mode["source"]: mode["state"] for mode in document["synchronous"]}


def wait_for(pair: Pair, state: str, *sources: str) -> None:
    wanted = sources or ("finops", "dataverse")
    wait_until(
        lambda: {modes(pair)[source] for source in wanted} == {state},
        SECONDS,
        lambda: f"{wanted} {state}: {modes(pair)}\n{pair.portal.tails()}",
    )


def alerts(pair: Pair) -> list[tuple[object, ...]]:
    return pair.portal.rows(
        "SELECT a.message FROM alerts_alert a JOIN environments_connectionset s"
        " ON s.id = a.connection_set_id WHERE s.name = %s"
        " AND a.kind = 'synchronous.fallen_back' AND a.closed_at IS NULL",
        pair.name,
    )


def gaps(pair: Pair) -> list[tuple[object, ...]]:
    return pair.portal.rows(
        "SELECT a.message FROM alerts_alert a JOIN environments_connectionset s"
        " ON s.id = a.connection_set_id WHERE s.name = %s AND a.kind = %s",
        *(pair.name, "log-gap"),
    )


def setting(server: PostgresServer) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        row = session.execute("SHOW synchronous_standby_names").fetchone()
    assert row is not None
    return str(row[0])


def check_both_directions(pair: Pair, key: str) -> None:
    add_customer(pair.erp, f"E{key}")
    assert seen(pair, "accounts", "accountnumber", f"E{key}")
    pair.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, %s, 'N', 3, 0 FROM companies WHERE code = 'USMF'",
        [f"C{key}"],
    )
    assert seen(pair, "customers", "account", f"C{key}")


def test_users_wait_for_the_other_side_and_are_never_locked_out(
    make_pair: Callable[..., Pair], portal: Portal, server: PostgresServer
) -> None:
    pair = make_pair(server=server)
    portal.must("run", f"customers {pair.name}", "--skip-initial-sync")
    pair.wait_for("running", f"customers {pair.name}")

    refused = portal.ask("sync-mode", pair.name, "on", "--timeout", str(TIMEOUT))
    assert refused.code == 1
    script = refused.err[refused.err.index("-- ") :]
    assert "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names" in script
    for dsn in pair.databases.values():
        server.execute(script, database_name(dsn))
    portal.must("sync-mode", pair.name, "on", "--timeout", str(TIMEOUT))
    wait_for(pair, "on")
    check_both_directions(pair, "1")

    user = User(pair, "U")
    wait_until(
        lambda: user.done > 5,
        SECONDS,
        lambda: (
            f"commits get through: {user.done} {sessions(server)} {modes(pair)}"
            f"\n{portal.tails()}"
        ),
    )
    user.stop()
    # At the end only what is not for us is committed: the stream has but its place in
    # the log to tell.
    pair.erp.execute(
        "CREATE TABLE elsewhere (dataareaid text, account text, name text)"
    )
    user = User(pair, "W", "elsewhere")
    wait_until(lambda: user.done > 20, SECONDS, "commits get through")
    portal.worker.kill_group()
    killed = user.done
    wait_until(lambda: user.done > killed + 5, PATIENCE, "commits go on")
    wait_for(pair, "fallen_back", "finops")
    assert "do not wait" in str(alerts(pair))
    portal.start()
    wait_for(pair, "on")
    assert alerts(pair) == []
    user.stop()
    check_both_directions(pair, "2")
    assert gaps(pair) == []

    # An orderly stop lets the users go without an alarm.
    user = User(pair, "V")
    wait_until(
        lambda: user.done > 5,
        SECONDS,
        lambda: (
            f"commits get through: {user.done} {sessions(server)} {modes(pair)}"
            f"\n{portal.tails()}"
        ),
    )
    portal.worker.terminate(SECONDS)
    stopped = user.done
    wait_until(lambda: user.done > stopped + 5, PATIENCE, "commits go on")
    user.stop()
    assert setting(server) == ""
    assert alerts(pair) == []
    portal.start()

    portal.must("sync-mode", pair.name, "off")
    assert setting(server) == ""
    assert set(modes(pair).values()) == {"off"}
    pair.equal(f"customers {pair.name}")


def cross(pair: Pair) -> None:
    """Two users change one record on both sides, and commit at one moment: each of
    their rows is what the other's change waits for."""
    add_customer(pair.erp, "X")
    ended = []

    def commit(session: psycopg.Connection[tuple[object, ...]]) -> None:
        session.execute("COMMIT")
        ended.append(time.monotonic())

    begun = time.monotonic()
    for session, change in (
        (pair.erp, "UPDATE customers SET name = 'ERP' WHERE account = 'X'"),
        (pair.crm, "UPDATE accounts SET name = 'CRM' WHERE accountnumber = 'X'"),
    ):
        session.execute("BEGIN")
        session.execute(change)  # type: ignore[call-overload]
    users = [
        threading.Thread(target=commit, args=(session,), daemon=True)
        for session in (pair.erp, pair.crm)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join(30)
    assert len(ended) == 2
    assert max(ended) - begun < 30
    pair.quiet()
    pair.equal(f"customers {pair.name}")


def test_a_target_out_of_reach_lets_users_go_and_unlinking_ends_the_waiting(
    make_pair: Callable[..., Pair], portal: Portal, server: PostgresServer
) -> None:
    pair = make_pair(server=server)
    server.execute(f'ALTER ROLE "{pair.role}" SUPERUSER')
    portal.must("run", f"customers {pair.name}", "--skip-initial-sync")
    pair.wait_for("running", f"customers {pair.name}")
    portal.must("sync-mode", pair.name, "on", "--timeout", "60")
    wait_for(pair, "on")
    cross(pair)
    assert set(modes(pair).values()) == {"on"}

    portal.must("sync-mode", pair.name, "off", "--source", "dataverse")
    portal.must(
        *("sync-mode", pair.name, "on", "--source", "finops"),
        *("--timeout", str(TIMEOUT)),
    )
    wait_for(pair, "on", "finops")
    assert modes(pair)["dataverse"] == "off"
    assert "_dataverse" not in setting(server)
    crm = database_name(pair.databases["crm"])
    server.execute(f'ALTER DATABASE "{crm}" ALLOW_CONNECTIONS false')
    pair.cut("crm")
    begun = time.monotonic()
    add_customer(pair.erp, "OUT")
    assert time.monotonic() - begun < PATIENCE
    wait_for(pair, "fallen_back", "finops")
    server.execute(f'ALTER DATABASE "{crm}" ALLOW_CONNECTIONS true')
    wait_for(pair, "on", "finops")
    pair.quiet()
    pair.equal(f"customers {pair.name}")
    portal.must("stop", f"customers {pair.name}")
    portal.must("unlink", pair.name, "--yes")
    assert setting(server) == ""
