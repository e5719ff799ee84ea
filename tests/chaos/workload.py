"""People who work on both sides at random and remember what they were promised.

Each record belongs to one client, who alone changes it, so that its last acknowledged
value must be on both sides in the end; only the table `hot` is contested. A commit
whose answer never came may or may not have taken place: the client looks.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import psycopg

from tests.chaos.tables import COMPANIES, HOLDS, STATUSES, TABLES, Row

Key = tuple[str, Row]
"""A table's name and the first values of a row."""

HOT_ROWS = 12
LONG = "much too long a name " * 3
SEEDS = 6


class Surprise(Exception):
    """A record is neither what was promised nor what was asked for."""


class Client:
    """One user of one side."""

    def __init__(self, side: str, number: int, dsn: str, seed: str, rate: float):
        self.name = f"{side}{number}"
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.side = side
        self.dsn = dsn
        self.rate = rate
        self.random = Random(f"{seed} client {side} {number}")
        self.records: dict[Key, Row] = {}
        self.deleted: set[Key] = set()
        self.failing: set[Key] = set()
        self.known: dict[str, list[Row]] = defaultdict(list)
        self.transactions = self.doubtful = self.refused = 0
        self.surprises: list[str] = []
        self.failed: Exception | None = None
        self._ended = threading.Event()
        self._resting = threading.Event()
        self._rests = threading.Event()
        self._serial = 0
        self._pending: dict[Key, Row | None] = {}
        self._bad: dict[Key, bool] = {}

    # -- the thread -----------------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def _run(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        try:
            while not self._ended.wait(self.random.random() * 2 / self.rate):
                if self._resting.is_set():
                    self._rests.set()
                    continue
                self._rests.clear()
                if connection is None or connection.closed:
                    connection = self._connect()
                    if connection is None:
                        continue
                self._transact(connection)
        except Exception as error:
            self.failed = error
        finally:
            self._rests.set()
            if connection is not None:
                connection.close()

    def rest(self, resting: bool) -> None:
        """Hold the work; `wait_resting` returns when no transaction is under way."""
        if resting:
            self._rests.clear()
            self._resting.set()
        else:
            self._resting.clear()

    def wait_resting(self, seconds: float) -> None:
        rests = self._rests.wait(seconds if self._thread.is_alive() else 0)
        if not rests and self._thread.is_alive():
            raise AssertionError(f"{self.name} does not come to rest: {self.failed}")

    def end(self) -> None:
        """End the thread; what was promised is settled then."""
        self._ended.set()

    def _connect(self) -> psycopg.Connection[Any] | None:
        with contextlib.suppress(psycopg.OperationalError):
            return psycopg.connect(self.dsn, connect_timeout=5)
        return None

    def _transact(self, connection: psycopg.Connection[Any]) -> None:
        """One transaction, whose changes count once they are known to have happened."""
        self._pending, self._bad = {}, {}
        try:
            for statement, values in self._choose():
                connection.execute(statement, values)
            connection.commit()
        except psycopg.OperationalError:
            # The line is dead, the server ended us, or it picked us as a victim.
            with contextlib.suppress(psycopg.Error):
                connection.close()
            self._look()
            return
        self.transactions += 1
        self._settle()

    def _look(self) -> None:
        """Find out whether a transaction without an answer took place."""
        self.doubtful += 1
        while self._pending:
            connection = self._connect()
            if connection is None:
                time.sleep(0.1)  # the server is being started again
                continue
            try:
                with connection:
                    self._find_out(connection)
                return
            except psycopg.OperationalError:
                continue

    def _find_out(self, connection: psycopg.Connection[Any]) -> None:
        happened: set[bool] = set()
        for (name, key), wanted in self._pending.items():
            if name == "hot":
                continue
            found = connection.execute(TABLES[name].find(self.side), key).fetchone()  # type: ignore[arg-type]
            before = self.records.get((name, key))
            if wanted == before:
                continue
            if found not in (wanted, before):
                self.surprises.append(
                    f"{self.name}: {name} {key} is {found}, neither {before} nor "
                    f"{wanted}, which were written last"
                )
            happened.add(found == wanted)
        if len(happened) > 1:
            self.surprises.append(
                f"{self.name}: half a transaction of {list(self._pending)}"
            )
        if True in happened:
            self._settle()
        else:
            self._pending = {}

    def _settle(self) -> None:
        for key, row in self._pending.items():
            if key[0] == "hot":
                continue
            if row is None:
                self.records.pop(key, None)
                self.deleted.add(key)
                self.failing.discard(key)
                continue
            if key not in self.records:
                self.known[key[0]].append(row)
            self.records[key] = row
            self.deleted.discard(key)
            bad = self._bad.get(key)
            if bad is not None:
                (self.failing.add if bad else self.failing.discard)(key)
        self._pending = {}

    # -- what they do ---------------------------------------------------------------

    def _choose(self) -> Iterator[tuple[str, list[Any]]]:
        chosen = self.random.choices(
            (
                self._family,
                self._single,
                self._changes,
                self._removal,
                self._contest,
                self._blunder,
                self._many,
            ),
            (3, 5, 8, 2, 3, 1, 0.3),
        )[0]
        return chosen()

    def _name(self, prefix: str) -> str:
        self._serial += 1
        return f"{prefix}-{self.name}-{self._serial}"

    def _stamp(self) -> int:
        self._serial += 1
        return self._serial

    def _insert(self, name: str, row: Row) -> tuple[str, list[Any]]:
        self._pending[name, row[: TABLES[name].keys]] = row
        return TABLES[name].insert(self.side, row)

    def _update(self, key: Key, row: Row) -> tuple[str, list[Any]]:
        before = self._pending.get(key) or self.records[key]
        self._pending[key] = row
        return TABLES[key[0]].update(self.side, before, row)

    def _remove(self, key: Key) -> tuple[str, list[Any]]:
        row = self.records[key]
        self._pending[key] = None
        return TABLES[key[0]].delete(self.side, row)

    def _own(self, name: str, condition: Any = None) -> list[Row]:
        """Our own rows of a table that have not failed on the other side."""
        rows = []
        present = []
        for row in self.known[name]:
            key = (name, row[: TABLES[name].keys])
            held = self.records.get(key)
            if held is None:
                continue
            present.append(held)
            if key not in self.failing and (condition is None or condition(held)):
                rows.append(held)
        self.known[name] = present
        return rows

    def _pick(self, name: str, condition: Any = None) -> Row | None:
        rows = self._own(name, condition)
        return self.random.choice(rows) if rows else None

    def _family(self) -> Iterator[tuple[str, list[Any]]]:
        """A customer with contacts and an order with lines, in one transaction."""
        company = self.random.choice(COMPANIES)
        group = self._pick("groups", lambda row: row[0] == company)
        parent = self._pick("customers", lambda row: row[0] == company)
        account = self._name("C")
        yield self._insert(
            "customers",
            (
                *(company, account, self._name("Customer")),
                group[1] if group and self.random.random() < 0.5 else "G1",
                self.random.choice((None, "S1", parent[1] if parent else None)),
                self.random.choice(list(HOLDS.values())),
                *(Decimal(self.random.randrange(10**6)) / 100, self._stamp()),
            ),
        )
        for _ in range(self.random.randrange(3)):
            yield self._insert("contacts", self._contact(company, account))
        if self.random.random() < 0.7:
            yield from self._order(company, account)

    def _contact(self, company: str, account: str) -> Row:
        birthday = date(1950 + self.random.randrange(50), 1, 1)
        name = self._name("Contact")
        return (company, self._name("P"), name, birthday, account, self._stamp())

    def _order(self, company: str, account: str) -> Iterator[tuple[str, list[Any]]]:
        number = self._name("O")
        status = self.random.choice(list(STATUSES.values()))
        yield self._insert("orders", (company, number, account, status, self._stamp()))
        for line in range(1, 2 + self.random.randrange(4)):
            quantity = Decimal(self.random.randrange(10**4)) / 100
            yield self._insert(
                "order lines", (company, number, line, quantity, self._stamp())
            )

    def _single(self) -> Iterator[tuple[str, list[Any]]]:
        """A record that stands alone, or hangs from one that is there for good."""
        company = self.random.choice(COMPANIES)
        account = f"S{1 + self.random.randrange(SEEDS)}"
        ways = ["groups", "products", "workers", "contacts", "warehouses", "orders"]
        ways += ["notes", "notes", *(["ledger"] * 3 + ["terms"])]
        name = self.random.choice(ways)
        if self.side == "crm":
            name = {"ledger": "visits", "terms": "workers"}.get(name, name)
        again = [key for key in self.deleted if key[0] == name]
        if again and self.random.random() < 0.5 and name in ("groups", "products"):
            yield from self._again(self.random.choice(sorted(again)))
            return
        text, stamp = self._name("Text"), self._stamp()
        price = Decimal(self.random.randrange(10**6)) / 100
        if name == "orders":
            yield from self._order(company, account)
            return
        manager = self._pick("workers")
        yield self._insert(
            name,
            {
                "groups": (company, self._name("G"), text, stamp),
                "terms": (self._name("T"), 30, text, stamp),
                "products": (self._name("I"), text, price, 10, stamp),
                "workers": (self._name("W"), text, manager and manager[0], stamp),
                "contacts": self._contact(company, account),
                "warehouses": (company, self._name("S"), "main", text, stamp),
                "notes": (self._name("N"), text),
                "ledger": (company, self._name("E"), price, account),
                "visits": (company, self._name("V"), text, account),
            }[name],
        )

    def _again(self, key: Key) -> Iterator[tuple[str, list[Any]]]:
        """A record under the key of one that was deleted."""
        name, parts = key
        rest = (self._name("Again"), self._stamp())
        if name == "products":
            rest = (rest[0], Decimal(7), 20, rest[1])  # type: ignore[assignment]
        yield self._insert(name, (*parts, *rest))

    def _changes(self) -> Iterator[tuple[str, list[Any]]]:
        """Changes of some of our records, of any table, in one transaction."""
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            names = ["groups", "products", "workers", "customers", "contacts", "orders"]
            names += ["warehouses", "order lines"]
            if self.side == "erp":
                names.append("terms")
            name = self.random.choice(names)
            row = self._pick(name)
            if row is not None:
                key = (name, row[: TABLES[name].keys])
                yield self._update(key, self._changed(name, row))

    def _changed(self, name: str, row: Row) -> Row:
        new = list(row)
        new[-1] = self._stamp()
        text = self._name("Changed")
        places = {"groups": 2, "products": 1, "workers": 1, "customers": 2}
        places |= {"contacts": 2, "warehouses": 3, "terms": 2}
        if name in places and self.random.random() < 0.8:
            new[places[name]] = text
        if name in ("products", "orders") and self.random.random() < 0.5:
            new[3] = self.random.choice(list(STATUSES.values()))
        if name == "customers" and self.random.random() < 0.5:
            new[5] = self.random.choice(list(HOLDS.values()))
            new[3] = "G2"
        if name == "order lines":
            new[3] = Decimal(self.random.randrange(10**4)) / 100
        return tuple(new)

    def _removal(self) -> Iterator[tuple[str, list[Any]]]:
        """A record nobody refers to, or a whole family, children first."""
        if self.random.random() < 0.4:
            row = self._pick("customers")
            if row is not None and not self._parent_of(row):
                yield from self._without(row)
            return
        for name in self.random.sample(("products", "contacts", "warehouses"), 2):
            row = self._pick(name)
            if row is not None:
                yield self._remove((name, row[: TABLES[name].keys]))

    def _parent_of(self, row: Row) -> bool:
        return any((one[0], one[4]) == row[:2] for one in self._held("customers"))

    def _held(self, name: str) -> list[Row]:
        return [row for (held, _), row in self.records.items() if held == name]

    def _without(self, customer: Row) -> Iterator[tuple[str, list[Any]]]:
        orders = [r for r in self._held("orders") if (r[0], r[2]) == customer[:2]]
        numbers = {row[:2] for row in orders}
        lines = [r for r in self._held("order lines") if r[:2] in numbers]
        contacts = [r for r in self._held("contacts") if (r[0], r[4]) == customer[:2]]
        for name, rows in (
            ("order lines", lines),
            ("orders", orders),
            ("contacts", contacts),
            ("customers", [customer]),
        ):
            for row in rows:
                yield self._remove((name, row[: TABLES[name].keys]))

    def _contest(self) -> Iterator[tuple[str, list[Any]]]:
        """Some columns of records that the other side's people change as well."""
        table = TABLES["hot"].finops if self.side == "erp" else "crmhot"
        for place in sorted(self.random.sample(range(HOT_ROWS), 2)):
            names = self.random.sample(("one", "two", "three"), 2)
            parts = ", ".join(f"{name} = %s" for name in names)
            self._pending["hot", (f"H{place}",)] = None
            yield (
                f"UPDATE {table} SET {parts} WHERE hotid = %s",
                [*(self._name("Hot") for _ in names), f"H{place}"],
            )

    def _blunder(self) -> Iterator[tuple[str, list[Any]]]:
        """A record the other side cannot take; or one of those, mended or deleted."""
        if self.failing and self.random.random() < 0.6:
            key = self.random.choice(sorted(self.failing))
            if self.random.random() < 0.3:
                yield self._remove(key)
                return
            row = list(self.records[key])
            row[1 if key[0] == "products" else 2] = self._name("Mended")
            row[3] = 10 if key[0] == "products" else row[3]
            row[-1] = self._stamp()
            self._bad[key] = False
            yield self._update(key, tuple(row))
            return
        company, account = self.random.choice(COMPANIES), "S1"
        if self.side == "erp" and self.random.random() < 0.5:
            name, row = "contacts", list(self._contact(company, account))
            row[2] = LONG
        else:
            name = "products"
            row = [self._name("I"), self._name("Text"), Decimal(1), 99, self._stamp()]
        self._bad[name, tuple(row[: TABLES[name].keys])] = True
        yield self._insert(name, tuple(row))

    def _many(self) -> Iterator[tuple[str, list[Any]]]:
        """Many records at once."""
        for _ in range(self.random.choice((50, 200, 400))):
            yield self._insert("notes", (self._name("N"), "One of many " + "x" * 200))


def seed_rows() -> Iterator[tuple[str, Row]]:
    """What is there before the maps run, on the ERP: the copy brings it over."""
    for company in COMPANIES:
        for group in ("G1", "G2"):
            yield "groups", (company, group, "Group", 0)
        for number in range(1, SEEDS + 1):
            parent = None if number == 1 else "S1"
            yield (
                "customers",
                (company, f"S{number}", "Seed", "G1", parent, 0, Decimal(0), 0),
            )
    for place in range(HOT_ROWS):
        yield "hot", (f"H{place}", "1", "2", "3")
