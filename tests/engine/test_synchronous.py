"""Synchronous mode: a commit returns when the change is on the other side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from syncengine.connectors.gate import CommitGate
from syncengine.errors import SetupError
from syncengine.live import LiveStream
from syncengine.mapping.model import Side
from tests.engine import lookups
from tests.engine.link import QUICK, Link
from tests.engine.memory import MemoryStream
from tests.servers import PostgresServer, database_name
from tests.waiting import wait_until

WITHIN = 5.0
"""Seconds a commit may wait here before something is wrong."""


class SynchronousLink(Link):
    """The link of the other tests with prompt streams and local commits of our own."""

    def __init__(self, erp: str, crm: str, **options: Any) -> None:
        super().__init__(erp, crm, **options)
        self.gates: list[CommitGate] = []

    def close(self) -> None:
        super().close()
        for gate in self.gates:
            gate.close()

    def stream(self, source: Side) -> LiveStream:
        connectors = {
            side: type(one)(replace(one.settings, local_commits=True))
            for side, one in (
                (Side.FINOPS, self.finops),
                (Side.DATAVERSE, self.dataverse),
            )
        }
        port = MemoryStream(self.state, source)
        return LiveStream(
            self.name,
            connectors[source],
            connectors[source.other],
            port,
            port,
            replace(QUICK, synchronous=True),
        )

    def arm(self) -> list[CommitGate]:
        gates = [one.gate(self.name) for one in (self.finops, self.dataverse)]
        self.gates += gates
        for gate in gates:
            assert gate.findings() == []
            wait_until(lambda gate=gate: gate.look().streaming, 20, "streaming")
            gate.arm()
            assert gate.look().armed
        return gates


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """Two servers of these tests' own, which hold for a whole server what is set. One
    is old: what a logical stream is told differs between the versions."""
    made = [
        PostgresServer.start(version, {"synchronous_commit": "on"})
        for version in (18, 15)
    ]
    yield made[0], made[1]
    for server in made:
        server.kill()


@pytest.fixture
def link(
    servers: tuple[PostgresServer, PostgresServer],
    make_database: Callable[..., str],
) -> Iterator[SynchronousLink]:
    erp, crm = servers
    made = SynchronousLink(make_database(erp), make_database(crm))
    for connection in (made.erp, made.crm):
        connection.execute("SET statement_timeout = '20s'")
    yield made
    for server in servers:
        if "other" in setting(server):  # of a failed test, which would hang here
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
    made.close()
    for server in servers:
        assert setting(server) == ""


def setting(server: PostgresServer) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute("SHOW synchronous_standby_names").fetchone()
    assert row is not None
    return str(row[0])


def add_customer(link: Link, number: int) -> None:
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', %s, %s)",
        [f"E{number}", f"Name {number}"],
    )


def add_account(link: Link, number: int) -> None:
    link.crm.execute(
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, %s, %s, 3, 0 FROM companies WHERE code = 'USMF'",
        [f"C{number}", f"Name {number}"],
    )


def test_a_commit_returns_when_the_change_is_on_the_other_side(
    link: SynchronousLink,
) -> None:
    link.start()
    link.arm()
    for number in range(20):
        add_customer(link, number)
        assert f"usmf/E{number}" in link.accounts()
        add_account(link, number)
        assert f"usmf/C{number}" in link.customers()


def test_both_directions_at_once_do_not_wait_for_each_other(
    link: SynchronousLink,
) -> None:
    link.start()
    link.arm()
    missed: list[str] = []

    def work(dsn: str, add: str, seen_dsn: str, seen: str, name: str) -> None:
        with (
            psycopg.connect(dsn, autocommit=True) as mine,
            psycopg.connect(seen_dsn, autocommit=True) as theirs,
        ):
            mine.execute("SET statement_timeout = '20s'")
            for number in range(25):
                key = f"{name}{number}"
                mine.execute(add.encode(), [key])
                row = theirs.execute(seen.encode(), [key]).fetchone()
                if row is None:
                    missed.append(key)

    erp, crm = link.finops.settings.dsn, link.dataverse.settings.dsn
    erp_add = (
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', %s, 'N')"
    )
    crm_add = (
        "INSERT INTO accounts (company, accountnumber, name, customertype, hold)"
        " SELECT id, %s, 'N', 3, 0 FROM companies WHERE code = 'USMF'"
    )
    erp_seen = "SELECT 1 FROM customers WHERE account = %s"
    crm_seen = "SELECT 1 FROM accounts WHERE accountnumber = %s"
    users = [
        threading.Thread(target=work, args=arguments, daemon=True)
        for user in range(3)
        for arguments in (
            (erp, erp_add, crm, crm_seen, f"E{user}x"),
            (crm, crm_add, erp, erp_seen, f"C{user}x"),
        )
    ]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
        assert not user.is_alive()
    assert missed == []
    link.equal()
    assert not link.state.errors


def test_a_commit_that_is_not_for_us_does_not_wait_long(link: SynchronousLink) -> None:
    link.start()
    gates = link.arm()
    link.erp.execute("CREATE TABLE elsewhere (id int)")
    for number in range(10):
        link.erp.execute("INSERT INTO elsewhere VALUES (%s)", [number])
    view = gates[0].look()
    assert view.waiting == ()


def test_the_slot_is_never_ahead_of_what_was_noted(link: SynchronousLink) -> None:
    """Whoever is killed at any moment leaves no slot behind that looks moved, also
    where all that users commit is not for us."""
    link.start()
    link.arm()
    link.erp.execute("CREATE TABLE elsewhere (id int)")
    ended = threading.Event()

    def work() -> None:
        with psycopg.connect(link.finops.settings.dsn, autocommit=True) as mine:
            while not ended.is_set():
                mine.execute("INSERT INTO elsewhere VALUES (1)")

    user = threading.Thread(target=work, daemon=True)
    user.start()
    port = MemoryStream(link.state, Side.FINOPS)
    places = set()
    try:
        for _ in range(200):
            held = link.finops.held_log(link.name)
            assert held is not None
            places.add(held.confirmed)
            assert held.confirmed <= port.confirmed()
    finally:
        ended.set()
        user.join(WITHIN)
    assert len(places) > 20
    link.stop()
    link.start()
    add_customer(link, 1)
    assert "usmf/E1" in link.accounts()
    assert link.state.gaps == []


def test_a_record_that_is_refused_does_not_hold_its_user(link: SynchronousLink) -> None:
    link.start()
    link.arm()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name)"
        " VALUES ('usmf', 'BAD', repeat('x', 60))"
    )
    assert link.state.errors
    assert "usmf/BAD" not in link.accounts()


def test_disarming_lets_waiting_commits_go(link: SynchronousLink) -> None:
    link.start()
    gate = link.arm()[0]
    link.stop()
    user = threading.Thread(target=add_customer, args=(link, 1), daemon=True)
    user.start()
    wait_until(lambda: bool(gate.look().waiting), 20, "the commit waits")
    view = gate.look()
    assert view.through is None
    gate.disarm()
    user.join(WITHIN)
    assert not user.is_alive()
    assert not gate.look().armed
    gate.disarm()


def test_one_waiting_commit_is_let_go_alone(link: SynchronousLink) -> None:
    link.start()
    gate = link.arm()[0]
    link.stop()
    user = threading.Thread(target=add_customer, args=(link, 1), daemon=True)
    user.start()
    wait_until(lambda: bool(gate.look().waiting), 20, "the commit waits")
    gate.release(gate.look().waiting or ())
    user.join(WITHIN)
    assert not user.is_alive()
    assert gate.look().armed


def test_uninstalling_takes_our_name_out_of_the_setting(
    link: SynchronousLink, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    link.start()
    link.arm()
    link.stop()
    assert "dualwrite_t1_finops" in setting(servers[0])
    link.finops.uninstall(link.name)
    assert setting(servers[0]) == ""


def test_commits_are_never_made_to_wait_for_nobody(link: SynchronousLink) -> None:
    gate = link.finops.gate(link.name)
    link.gates.append(gate)
    with pytest.raises(SetupError) as refused:
        gate.arm()
    assert refused.value.code == "stream_missing"


def test_an_account_without_the_rights_is_told_the_script(
    link: SynchronousLink, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    link.start()
    role = "plain_account"
    link.erp.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    settings = link.finops.settings
    dsn = servers[0].dsn(database_name(settings.dsn), role, "secret")
    gate = type(link.finops)(replace(settings, dsn=dsn)).gate(link.name)
    link.gates.append(gate)
    (finding,) = gate.findings()
    assert finding.code == "PG_SYNCHRONOUS_RIGHTS"
    # It cannot see our stream either, which is another account's.
    with pytest.raises(SetupError):
        gate.arm()
    if servers[0].version < 15:
        return
    link.erp.execute(finding.script.encode())
    assert gate.findings() == []
    gate.arm()
    add_customer(link, 1)
    assert "usmf/E1" in link.accounts()
    gate.disarm()
    assert setting(servers[0]) == ""
    link.erp.execute(f"DROP OWNED BY {role}")
    link.erp.execute(f"DROP ROLE {role}")


def test_another_standby_is_waited_for_as_before(
    link: SynchronousLink, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    link.start()
    # One of our streams stands for somebody else's standby.
    link.finops.install("other", ["customers"])
    stream = link.finops.open_stream("other", None, prompt=True)
    answering = threading.Event()
    answering.set()
    ended = threading.Event()
    turn = threading.Lock()

    def answer() -> None:
        while not ended.is_set():
            with turn:
                if answering.is_set():
                    stream.receive(100, 1000, 0.05)
                    stream.confirm(stream.seen_position)
            ended.wait(0 if answering.is_set() else 0.05)

    standby = threading.Thread(target=answer, daemon=True)
    standby.start()
    other = "dualwrite_other_finops"
    link.erp.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{other}'")
    link.erp.execute("SELECT pg_reload_conf()")
    wait_until(lambda: setting(servers[0]) == other, 10, "the setting is read")
    gate = link.finops.gate(link.name)
    link.gates.append(gate)
    wait_until(lambda: gate.look().streaming, 20, "streaming")
    gate.arm()
    assert setting(servers[0]) == f"FIRST 2 (dualwrite_t1_finops, {other})"
    add_customer(link, 1)
    assert "usmf/E1" in link.accounts()
    answering.clear()
    with turn:
        pass  # what it was receiving a moment ago is answered
    user = threading.Thread(target=add_customer, args=(link, 2), daemon=True)
    user.start()
    wait_until(lambda: bool(gate.look().waiting), 20, "the commit waits for the other")
    answering.set()
    user.join(WITHIN)
    assert not user.is_alive()
    gate.disarm()
    assert setting(servers[0]) == other
    link.erp.execute("ALTER SYSTEM RESET synchronous_standby_names")
    link.erp.execute("SELECT pg_reload_conf()")
    wait_until(lambda: setting(servers[0]) == "", 10, "nobody is waited for")
    ended.set()
    standby.join(10)
    stream.close()
    link.finops.uninstall("other")


def test_a_child_known_by_a_parent_of_the_same_commit_arrives(
    servers: tuple[PostgresServer, PostgresServer],
    make_database: Callable[..., str],
) -> None:
    """While a commit waits for us, nobody can read what it inserted."""
    databases = [make_database(server) for server in servers]
    link = SynchronousLink(
        *databases, maps=lookups.MAPS, tables=(lookups.ERP, lookups.CRM)
    )
    try:
        link.start()
        link.arm()
        link.crm.execute("SET statement_timeout = '20s'")
        link.crm.execute(
            "WITH h AS (INSERT INTO hierarchies (name) VALUES ('Sales') RETURNING *),"
            " c AS (INSERT INTO categories (hierarchy, name)"
            " SELECT hierarchyid, 'Pens' FROM h RETURNING *)"
            " INSERT INTO prices (category, price) SELECT categoryid, 7 FROM c"
        )
        found = link.erp.execute("SELECT * FROM prices").fetchall()
        assert found == [("Sales", "Pens", 7)]
        assert not link.state.errors
    finally:
        link.close()
