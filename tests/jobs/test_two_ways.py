"""Both sides change at once, at random: they end equal, nothing is written twice.

These people delete and make half the table anew within a minute, which is just what the
mass-change guard holds; so it is off where all is to stay live, and has a test here.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import psycopg

from tests.jobs.pair import Pair
from tests.waiting import wait_until

SECONDS = float(os.environ.get("WORKLOAD_SECONDS", "6"))
"""In `make chaos` longer (docs/howto/chaos.md)."""
GUARDED_SECONDS = 4
GUARD = ("--on", "--deletes", "10", "--rows", "50")
ROWS = 400
HOLDS = {"erp": ("No", "Invoice", "All"), "crm": (0, 1, 2)}

INSERT = {
    "erp": "INSERT INTO customers (dataareaid, account, name, groupid, hold)"
    " VALUES (%(company)s, %(account)s, %(name)s, 'G', %(hold)s)",
    "crm": "INSERT INTO accounts"
    " (company, accountnumber, name, crmgroup, hold, customertype)"
    " SELECT c.id, %(account)s, %(name)s, g.id, %(hold)s, 3 FROM companies c"
    " JOIN crmgroups g ON g.company = c.id AND g.groupid = 'G'"
    " WHERE lower(c.code) = %(company)s",
}
UPDATE = {
    "erp": "UPDATE customers SET name = %(name)s, hold = %(hold)s"
    " WHERE dataareaid = %(company)s AND account = %(account)s",
    "crm": "UPDATE accounts SET name = %(name)s, hold = %(hold)s WHERE company ="
    " (SELECT id FROM companies WHERE lower(code) = %(company)s)"
    " AND accountnumber = %(account)s",
}
DELETE = {
    "erp": "DELETE FROM customers"
    " WHERE dataareaid = %(company)s AND account = %(account)s",
    "crm": "DELETE FROM accounts WHERE company ="
    " (SELECT id FROM companies WHERE lower(code) = %(company)s)"
    " AND accountnumber = %(account)s",
}


class Users(threading.Thread):
    """People who work on one side, each record belonging to one side's people."""

    def __init__(self, pair: Pair, side: str, owned: list[tuple[str, str]]) -> None:
        super().__init__(name=side, daemon=True)
        self.side = side
        self.owned = owned
        self.dsn = pair.databases[side]
        self.random = Random(f"{pair.name} {side}")
        self.ended = threading.Event()
        self.done = 0
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                while not self.ended.wait(self.random.random() * 0.02):
                    with connection.transaction():
                        for _ in range(self.random.choice((1, 1, 1, 3))):
                            self._change(connection)
        except Exception as error:
            self.failed = error

    def _change(self, connection: psycopg.Connection[Any]) -> None:
        kind = self.random.choice(("insert", "update", "update", "update", "delete"))
        values: dict[str, object] = {
            "name": f"{self.side} {self.done}",
            "hold": self.random.choice(HOLDS[self.side]),
        }
        if kind == "insert":
            company = self.random.choice(("usmf", "demf"))
            record = (company, f"{self.side}-{self.done}")
            self.owned.append(record)
            statement = INSERT[self.side]
        else:
            place = self.random.randrange(len(self.owned))
            record = self.owned[place]
            statement = (UPDATE if kind == "update" else DELETE)[self.side]
            if kind == "delete":
                self.owned[place] = self.owned[-1]
                self.owned.pop()
        values |= {"company": record[0], "account": record[1]}
        changed = connection.execute(statement, values).rowcount  # type: ignore[call-overload]
        assert changed == 1, f"{kind} of {record} on {self.side}: {changed} rows"
        self.done += 1


def prepare(pair: Pair, guard: Sequence[str] = ("--off",)) -> None:
    """Groups, and customers that are only in the ERP, with this guard."""
    pair.portal.must("guard", f"customers {pair.name}", *guard)
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'G', ''), ('demf', 'G', '')")
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid)"
        " SELECT (array['usmf', 'demf'])[1 + n %% 2], 'C' || n, 'Name ' || n, 'G'"
        " FROM generate_series(1, %s) n",
        [ROWS],
    )


def users_of(pair: Pair) -> list[Users]:
    """People on both sides; even customers belong to the ERP's, odd ones to the
    CRM's."""
    companies = ("usmf", "demf")
    records = [(companies[n % 2], f"C{n}") for n in range(1, ROWS + 1)]
    return [Users(pair, "erp", records[::2]), Users(pair, "crm", records[1::2])]


def work(users: list[Users], seconds: float, meanwhile: Callable[[], object]) -> None:
    """Let them work that long, and do something meanwhile."""
    end = time.monotonic() + seconds
    for one in users:
        one.start()
    try:
        meanwhile()
        users[0].ended.wait(max(0.0, end - time.monotonic()))
    finally:
        for one in users:
            one.ended.set()
        for one in users:
            one.join(30)
    for one in users:
        assert one.failed is None, one.failed


def test_a_random_workload_on_both_sides_converges_without_an_echo(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    prepare(pair)
    pair.run()
    pair.equal()
    pair.count_writes()
    users = users_of(pair)

    def enough() -> bool:
        return min(one.done for one in users) > 200

    work(users, SECONDS, lambda: wait_until(enough, 60, "people work on both sides"))

    pair.quiet()
    pair.equal()
    for name in pair.maps:
        ran = pair.portal.dw("compare", name)
        assert ran.code == 0, ran
        assert "Both sides are equal." in ran.out
    assert not pair.errors()
    check_written_once(pair)


def test_what_the_guard_holds_and_people_approve_converges_without_an_echo(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    prepare(pair, GUARD)
    pair.run()
    pair.equal()
    pair.count_writes()
    name = f"customers {pair.name}"
    held: set[str] = set()

    def approve() -> bool:
        """Approve what waits; true when both directions have been held by now."""
        for one in pair.portal.must("approvals")["approvals"]:
            if one["map"] == name:
                assert one["kind"] == "delete", one
                held.add(one["direction"])
                pair.portal.must("approvals", "--approve", str(one["id"]))
        return len(held) == 2

    def attend() -> None:
        wait_until(approve, 60, lambda: f"both directions are held: {pair.seen()}")

    work(users_of(pair), GUARDED_SECONDS, attend)

    def ended() -> bool:
        approve()
        document = pair.compare(name)
        return bool(document["equal"] == document["compared"])

    wait_until(ended, 60, lambda: f"{name} is equal: {pair.seen()}", poll=0.2)
    pair.quiet()
    pair.equal()
    assert not pair.errors()
    check_written_once(pair)
    assert pair.states()[name] == ("running", "")


def check_written_once(pair: Pair) -> None:
    """Each side got the other's changes only: nothing came back, nothing twice.

    Changes of one record may be folded, so a side may be written less often than
    the other was changed, never more.
    """
    for side, other in (("erp", "crm"), ("crm", "erp")):
        made = counted(pair, other, by_product=False)
        written = counted(pair, side, by_product=True)
        table = {"erp": "customers", "crm": "accounts"}[side]
        assert set(written) <= set(made), set(written) - set(made)
        for key, (operations, last) in written.items():
            assert operations <= made[key][0], (side, key, written[key], made[key])
            assert (last == "DELETE") == (made[key][1] == "DELETE"), (table, key)
        echoes = set(written) & set(counted(pair, side, by_product=False))
        assert not echoes, f"written by both on {side}: {sorted(echoes)[:5]}"


def counted(pair: Pair, side: str, *, by_product: bool) -> dict[str, tuple[int, str]]:
    """How often each record was written on a side, and what was done to it last."""
    session = pair.erp if side == "erp" else pair.crm
    rows = session.execute(
        "SELECT key, count(*), (array_agg(operation ORDER BY id DESC))[1]"
        " FROM test_writes WHERE by_product = %s GROUP BY key",
        [by_product],
    ).fetchall()
    return {key: (number, last) for key, number, last in rows}
