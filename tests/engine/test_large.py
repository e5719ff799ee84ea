"""Large source transactions: whole on the target or in portions, not in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from syncengine.connectors.postgres import decoding
from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import LegMode
from tests.engine.link import CUSTOMERS, GROUPS, Link, with_columns
from tests.waiting import wait_until

ROWS = 4_500
INSERT = (
    "INSERT INTO customers (dataareaid, account, name, credit, memo) SELECT 'usmf', "
    "'L' || n, CASE WHEN n = %s THEN repeat('x', 50) ELSE 'Large ' || n END, n, 'new' "
    "FROM generate_series(1, %s) AS n"
)
COUNTING = """
CREATE TABLE writes (operation text, key text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO writes VALUES (TG_OP, NEW.accountnumber); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "SPOOL_CHANGES", 2_000)


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    crm = make_database(prefix="crm")
    maps = (GROUPS, with_columns(CUSTOMERS, conflict=ConflictPolicy.FINOPS_WINS))
    link = Link(make_database(prefix="erp"), crm, maps=maps)
    link.crm_dsn = crm  # type: ignore[attr-defined]
    yield link
    link.close()


def count(link: Link) -> int:
    row = link.crm.execute("SELECT count(*) FROM accounts").fetchone()
    assert row is not None
    return int(row[0])


class Watch:
    """Looks at the target all the time: every number of rows somebody could see."""

    def __init__(self, dsn: str) -> None:
        self.seen: set[int] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(dsn,))
        self._thread.start()

    def _run(self, dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not self._end.is_set():
                for row in connection.execute("SELECT count(*) FROM accounts"):
                    self.seen.add(row[0])

    def stop(self) -> set[int]:
        self._end.set()
        self._thread.join()
        return self.seen


def test_a_large_transaction_becomes_visible_at_once(link: Link) -> None:
    link.start()
    watch = Watch(link.crm_dsn)  # type: ignore[attr-defined]
    link.erp.execute(INSERT, [0, ROWS])
    link.equal(30)
    assert watch.stop() == {0, ROWS}
    with link.erp.transaction():
        link.erp.execute("UPDATE customers SET memo = 'changed'")
        link.erp.execute("DELETE FROM customers WHERE credit < 1000")
        link.erp.execute("UPDATE customers SET memo = 'twice' WHERE credit < 2000")
    link.equal(30)
    assert link.state.errors == {}
    assert link.state.conflicts == []


def test_a_refused_record_of_a_large_transaction_holds_back_no_other(
    link: Link,
) -> None:
    link.crm.execute(COUNTING)
    link.start()
    link.erp.execute(INSERT, [2_345, ROWS])
    wait_until(lambda: count(link) == ROWS - 1, 30)
    wait_until(lambda: link.state.errors)
    failures = [error.failure for error in link.state.errors.values()]
    assert [failure.key for failure in failures] == [("usmf", "L2345")]
    written = link.crm.execute("SELECT count(*) FROM writes").fetchall()
    assert written == [(ROWS - 1,)]
    link.erp.execute("UPDATE customers SET name = 'short' WHERE account = 'L2345'")
    link.equal()


def test_a_conflict_within_a_large_transaction_is_settled(link: Link) -> None:
    link.start()
    link.erp.execute(INSERT, [0, ROWS])
    link.equal(30)
    link.stop()
    link.erp.execute("UPDATE customers SET memo = 'from the ERP'")
    link.crm.execute(
        "UPDATE accounts SET description = 'from the CRM' WHERE accountnumber = 'L3000'"
    )
    link.start(None)
    link.equal(30)
    assert link.accounts()["usmf/L3000"][-1] == "from the ERP"
    assert len(link.state.conflicts) == 1
    assert link.state.errors == {}


def test_a_paused_map_queues_a_large_transaction_and_drains_it(link: Link) -> None:
    link.start(LegMode.QUEUE)
    link.erp.execute(INSERT, [0, ROWS])
    queue = link.state.queue
    wait_until(lambda: sum(map(len, queue.values())) == ROWS, 30)
    link.stop()
    link.start(LegMode.QUEUE)
    link.erp.execute(INSERT.replace("'L'", "'M'"), [7, 10])
    wait_until(lambda: sum(map(len, queue.values())) == ROWS + 10, 30)
    for number in (1, 2):
        link.set_mode(number, LegMode.DRAIN)
    wait_until(lambda: count(link) == ROWS, 30)
    wait_until(lambda: not any(queue.values()))
    # Of the small transaction all wait for the refused record, as the map says.
    assert {error.failure.key[1] for error in link.state.errors.values()} == {
        f"M{n}" for n in range(1, 11)
    }


@pytest.mark.parametrize("refused", [0, 100])
def test_a_stream_stopped_within_a_large_transaction_goes_on_exactly_once(
    link: Link, refused: int
) -> None:
    """At each portion of it: written as one (nothing refused) and in portions."""
    link.crm.execute(COUNTING)
    link.crm.execute(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END $$;"
        "CREATE TRIGGER hold BEFORE INSERT ON accounts FOR EACH ROW "
        "WHEN (NEW.accountnumber IN ('L1500', 'L2500', 'L4400')) "
        "EXECUTE FUNCTION hold()"
    )
    link.erp.execute(INSERT, [refused, ROWS])
    for _ in range(3):
        link.crm.execute("SELECT pg_advisory_lock(77)")
        link.start(sides=[Side.FINOPS])
        wait_until(lambda: _held(link), 30)
        link.crm.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objid = 77 "
            "AND locktype = 'advisory' AND NOT granted"
        )
        link.crm.execute("SELECT pg_advisory_unlock(77)")
        link.stop()
    link.start(sides=[Side.FINOPS])
    wanted = ROWS - (1 if refused else 0)
    wait_until(lambda: count(link) == wanted, 30)
    link.stop()
    doubled = link.crm.execute(
        "SELECT key FROM writes GROUP BY key HAVING count(*) > 1"
    ).fetchall()
    assert doubled == []
    assert len(link.state.errors) == (1 if refused else 0)


def _held(link: Link) -> bool:
    rows = link.crm.execute(
        "SELECT 1 FROM pg_locks WHERE objid = 77 AND locktype = 'advisory' "
        "AND NOT granted"
    ).fetchall()
    return bool(rows)
