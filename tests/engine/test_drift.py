"""Tables changed under running maps, while both sides are written to all the time.

Whatever is changed: other maps go on, nothing is lost, nobody finds the error list full
of records that are not to blame, and the map goes on by itself once it can.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import psycopg
import pytest

from syncengine.mapping.model import TableMap
from tests.engine.link import CUSTOMERS, Link
from tests.waiting import wait_until

RECORDS = 20
NUMBERS = count(1)


class Traffic:
    """Somebody who edits customers on both sides, whatever happens to the tables."""

    def __init__(self, erp: str, crm: str) -> None:
        self._end = threading.Event()
        self.failed: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(dsn, statement, first))
            for dsn, statement, first in (
                (erp, "UPDATE customers SET credit = %s WHERE account = %s", 0),
                (crm, "UPDATE accounts SET credit = %s WHERE accountnumber = %s", 1),
            )
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, dsn: str, statement: str, first: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for number in count(first, 2):
                if self._end.wait(0.02):
                    return
                try:
                    connection.execute(
                        statement.encode(), [number, f"C{number % RECORDS}"]
                    )
                except psycopg.Error as error:
                    self.failed.append(str(error))

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Ground:
    link: Link
    traffic: Traffic

    def change(self, erp: str = "", crm: str = "") -> None:
        """Change tables and write at once, before anybody can have looked."""
        for connection, statements in ((self.link.erp, erp), (self.link.crm, crm)):
            for statement in filter(None, statements.split("; ")):
                connection.execute(statement.encode())
        self.link.erp.execute("UPDATE customers SET name = 'after ' || account")
        self.link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) "
            "VALUES ('usmf', %s, 'new one')",
            [f"N{next(NUMBERS)}"],
        )

    def stands(self, *words: str) -> None:
        """The customers' map waits and says why, while the other map goes on."""
        wait_until(lambda: self.link.state.broken, 60, self.seen)
        said = " ".join(self.link.state.broken)
        assert all(word in said for word in words), said
        before = self.groups()
        self.link.erp.execute(
            "INSERT INTO groups VALUES ('usmf', 'G' || (SELECT count(*) FROM groups))"
        )
        wait_until(lambda: self.groups() == before + 1, 60, self.seen)

    def groups(self) -> int:
        row = self.link.crm.execute("SELECT count(*) FROM crmgroups").fetchone()
        assert row is not None
        return int(row[0])

    def ends(self) -> None:
        """Nothing is lost, and no record was blamed."""
        self.traffic.stop()
        self.live()
        self.link.equal(120)
        assert self.link.state.errors == {}, self.seen()
        assert len(self.link.accounts()) > RECORDS

    def told(self, word: str) -> bool:
        """Whether an event says this."""
        return any(word in said for _, said in list(self.link.state.events))

    def live(self) -> None:
        """All legs are live again."""
        wait_until(lambda: self.link.state.modes() == {"live"}, 120, self.seen)

    def version(self, changed: TableMap) -> None:
        """Use a new version of the customers' map."""
        state = self.link.state
        with state.lock:
            for key, leg in state.legs.items():
                if key[0] == 2:
                    state.legs[key] = replace(leg, table_map=changed)
            state.revision += 1

    def seen(self) -> str:
        state = self.link.state
        errors = [error.failure for error in state.errors.values()]
        return (
            f"{state.modes()} {state.broken} {state.events} {errors[:3]} {len(errors)} "
            f"{state.reports} {self.link.failed}"
        )


@pytest.fixture
def ground(make_database: Callable[..., str]) -> Iterator[Ground]:
    erp, crm = make_database(prefix="erp"), make_database(prefix="crm")
    link = Link(erp, crm)
    link.start()
    link.erp.execute("INSERT INTO groups VALUES ('usmf', '10', 'ten')")
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, groupid, memo) SELECT "
        "'usmf', 'C' || n, 'before', '10', 'm' || n FROM generate_series(0, %s) n",
        [RECORDS - 1],
    )
    link.equal()
    traffic = Traffic(erp, crm)
    yield Ground(link, traffic)
    traffic.stop()
    link.close()


def renamed(finops: str, dataverse: str) -> TableMap:
    """The map with the memo's columns under other names."""
    return replace(
        CUSTOMERS,
        columns=tuple(
            replace(column, finops=finops, dataverse=dataverse)
            if column.finops == "memo"
            else column
            for column in CUSTOMERS.columns
        ),
    )


GOES_ON = {
    "a column added": (
        "ALTER TABLE customers ADD COLUMN extra text",
        "ALTER TABLE accounts ADD COLUMN extra text",
        ("column extra (text) is new",) * 2,
    ),
    "an unmapped column dropped": (
        "ALTER TABLE customers DROP COLUMN internal_note",
        "ALTER TABLE accounts DROP COLUMN owner",
        ("column internal_note is gone", "column owner is gone"),
    ),
    "an unmapped column renamed": (
        "ALTER TABLE customers RENAME COLUMN extra TO extra_note",
        "ALTER TABLE accounts RENAME COLUMN extra TO more",
        ("extra_note has its place", "more has its place"),
    ),
    "a type widened": (
        "ALTER TABLE customers ALTER COLUMN name TYPE text",
        "ALTER TABLE accounts ALTER COLUMN name TYPE text, "
        "ALTER COLUMN credit TYPE numeric(20,4)",
        ("name was character varying(60) and is text", "credit was numeric(14,2)"),
    ),
    "a rule added that all rows keep": (
        "ALTER TABLE customers ALTER COLUMN memo SET DEFAULT '', ADD UNIQUE (account)",
        "ALTER TABLE accounts ALTER COLUMN customertype SET NOT NULL",
        ("unique key over account is new", "customertype must not be empty now"),
    ),
}


def test_maps_go_on_over_changes_that_do_not_concern_them(ground: Ground) -> None:
    for erp, crm, words in GOES_ON.values():
        ground.change(erp, crm)
        for word in words:
            wait_until(lambda word=word: ground.told(word), 60, ground.seen)  # type: ignore[misc]
    assert ground.link.state.broken == []
    ground.ends()


STOPS = {
    "a mapped column dropped on the source": (
        "ALTER TABLE customers DROP COLUMN memo",
        "",
        ("DIPV10", "column memo is gone"),
        "ALTER TABLE customers ADD COLUMN memo text; UPDATE customers SET memo = 'new'",
        "",
    ),
    "a mapped column dropped on the target": (
        "",
        "ALTER TABLE accounts DROP COLUMN description",
        ("DIPV10", "column description is gone"),
        "",
        "ALTER TABLE accounts ADD COLUMN description text; "
        "UPDATE accounts SET description = 'new'",
    ),
    # What is queued meanwhile bears values of the wrong type, until the next change.
    "a type that does not fit": (
        "",
        "ALTER TABLE accounts ALTER COLUMN hold TYPE bytea USING NULL",
        ("DIPV1030", "hold"),
        "",
        "ALTER TABLE accounts ALTER COLUMN hold TYPE int USING 1; "
        "UPDATE accounts SET hold = 2",
    ),
    "a new column that needs a value": (
        "",
        "ALTER TABLE accounts ADD COLUMN region text NOT NULL DEFAULT 'x'; "
        "ALTER TABLE accounts ALTER COLUMN region DROP DEFAULT",
        ("DIPV10", "region"),
        "",
        "ALTER TABLE accounts ALTER COLUMN region SET DEFAULT 'x'",
    ),
    "the key column renamed on the target": (
        "",
        "ALTER TABLE accounts RENAME COLUMN accountnumber TO number",
        ("DIPV10", "accountnumber"),
        "",
        "ALTER TABLE accounts RENAME COLUMN number TO accountnumber",
    ),
    "the column a lookup reads renamed": (
        "",
        "ALTER TABLE crmgroups ADD COLUMN groupid2 varchar(10); "
        "ALTER TABLE accounts RENAME COLUMN crmgroup TO crmgroup2",
        ("crmgroup",),
        "",
        "ALTER TABLE accounts RENAME COLUMN crmgroup2 TO crmgroup",
    ),
    "the table renamed": (
        "",
        "ALTER TABLE accounts RENAME TO away",
        ("accounts",),
        "",
        "ALTER TABLE away RENAME TO accounts",
    ),
}


def test_a_map_waits_and_says_why_and_goes_on_once_its_tables_fit(
    ground: Ground,
) -> None:
    for erp, crm, words, mended_erp, mended_crm in STOPS.values():
        ground.link.state.broken.clear()
        ground.change(erp, crm)
        ground.stands(*words)
        ground.change(mended_erp, mended_crm)
        ground.live()
    ground.ends()


@pytest.mark.parametrize("side", ["erp", "crm"])
def test_a_renamed_column_goes_on_with_a_new_version(ground: Ground, side: str) -> None:
    """What was queued before the column had its new name counts too."""
    table, name = {"erp": ("customers", "memo"), "crm": ("accounts", "description")}[
        side
    ]
    rename = f"ALTER TABLE {table} RENAME COLUMN {name} TO remark"
    ground.link.erp.execute("UPDATE customers SET memo = 'just before'")
    ground.change(**{side: rename})
    ground.stands(name, "remark has its place")
    ground.link.erp.execute("DELETE FROM customers WHERE account = 'C3'")
    columns = ("remark", "description") if side == "erp" else ("memo", "remark")
    ground.version(renamed(*columns))
    ground.live()
    ground.change()
    ground.traffic.stop()
    source, target = ground.link.erp, ground.link.crm
    wait_until(
        lambda: (
            source.execute(
                f"SELECT account, name, credit, {columns[0]} FROM customers"
                " ORDER BY account".encode()
            ).fetchall()
            == target.execute(
                f"SELECT accountnumber, name, credit, {columns[1]} FROM accounts"
                " ORDER BY accountnumber".encode()
            ).fetchall()
        ),
        20,
        ground.seen,
    )
    assert ground.link.state.errors == {}, ground.seen()
