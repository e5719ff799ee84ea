"""Two sides driven at random, and a judge: equal at rest, and nothing lost."""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import psycopg

from syncengine.connectors.base import Connector, HeldRecord, ReadRequest, Writer
from syncengine.live import LiveStream
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.model import TableMap as Definition
from syncengine.ports import LegMode
from syncengine.reconcile import compare
from tests.engine.link import COMPANIES, CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until

COLUMNS = ("name", "hold", "memo", "groupid")
VALUES: dict[str, Sequence[str | None]] = {
    "name": ("a", "b", "c"),
    "hold": ("No", "Invoice", "All"),
    "memo": (None, "x", "y"),
    "groupid": (None, "1", "2"),
}
HOLDS = ("No", "Invoice", "All")
QUIET_SECONDS = 20.0

Key = tuple[str, str]
"""A table (`groups` or `customers`) and the record's key in it."""


class Wandering:
    """A connector of a system whose clock goes forwards and back: what it says of the
    moment a row was written is off by up to an hour, differently each time."""

    def __init__(self, connector: Connector, seed: int) -> None:
        self._connector = connector
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def writer(self, link: str, **options: Any) -> Any:
        return _WanderingWriter(self._connector.writer(link, **options), self._random)


class _WanderingWriter:
    def __init__(self, writer: Writer, choose: random.Random) -> None:
        self._writer = writer
        self._random = choose

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    @contextmanager
    def hold(self, request: ReadRequest, key: tuple[str | None, ...]) -> Iterator[Any]:
        with self._writer.hold(request, key) as held:
            yield _WanderingRecord(held, self._random.uniform(-3600, 3600))


class _WanderingRecord:
    def __init__(self, held: HeldRecord, seconds: float) -> None:
        self._held = held
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held, name)

    @property
    def committed_at(self) -> datetime | None:
        told = self._held.committed_at
        return None if told is None else told + timedelta(seconds=self._seconds)


class Worker:
    """One stream in a thread, that can be stopped and started anew."""

    def __init__(self, link: Link, side: Side) -> None:
        self.link = link
        self.side = side
        self.failed: list[BaseException] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        if self._thread is None:
            self._stop = threading.Event()
            stream = self.link.stream(self.side)
            self._thread = threading.Thread(
                target=self._run, args=(stream, self._stop), daemon=True
            )
            self._thread.start()

    def _run(self, stream: LiveStream, stop: threading.Event) -> None:
        try:
            stream.run(stop.is_set)
        except BaseException as error:
            self.failed.append(error)

    def stop(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None
        if self.failed:
            raise self.failed[0]


@dataclass
class Edits:
    """What users did to one record since both sides last agreed."""

    before: dict[str, Any] | None
    columns: dict[Side, dict[str, Any]] = field(
        default_factory=lambda: {side: {} for side in Side}
    )
    made: dict[Side, bool] = field(default_factory=lambda: dict.fromkeys(Side, False))
    """Inserted or deleted on this side."""


class World:
    """A link whose two sides users and streams write at once. Records of one round
    have keys of their own, so that many rounds share the databases."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.sql = {Side.FINOPS: link.erp, Side.DATAVERSE: link.crm}
        self.workers = {side: Worker(link, side) for side in Side}
        self.prefix = ""
        self.edits: dict[Key, Edits] = {}
        self.history: list[str] = []
        self.failure: AssertionError | None = None
        self._rounds = count(1)
        self._marks = count(1)
        for number in (1, 2):
            link.state.set_mode(number, LegMode.LIVE)

    def begin(self) -> None:
        """A new round: nothing there, both streams at work."""
        if self.failure is not None:
            raise self.failure
        self.prefix = f"R{next(self._rounds)}-"
        self.edits = {}
        self.history = []
        for worker in self.workers.values():
            worker.start()

    # -- what users do --------------------------------------------------------------

    def group(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def read(self, side: Side, key: Key) -> dict[str, Any] | None:
        """The record as this side has it, in FinOps terms."""
        table, name = key
        if table == "groups":
            query = (
                "SELECT description FROM groups WHERE dataareaid = 'usmf' "
                "AND groupid = %s"
                if side is Side.FINOPS
                else "SELECT g.description FROM crmgroups g JOIN companies c "
                "ON c.id = g.company WHERE c.code = 'USMF' AND g.groupid = %s"
            )
            found = self.sql[side].execute(query, [name]).fetchone()
            return None if found is None else {"memo": found[0]}
        query = (
            "SELECT name, hold, memo, groupid FROM customers "
            "WHERE dataareaid = 'usmf' AND account = %s"
            if side is Side.FINOPS
            else "SELECT a.name, (array['No','Invoice','All'])[a.hold + 1], "
            "a.description, g.groupid FROM accounts a JOIN companies c "
            "ON c.id = a.company LEFT JOIN crmgroups g ON g.id = a.crmgroup "
            "WHERE c.code = 'USMF' AND a.accountnumber = %s"
        )
        found = self.sql[side].execute(query, [name]).fetchone()
        if found is None:
            return None
        return dict(zip(("name", "hold", "memo", "groupid"), found, strict=True))

    def _edits(self, key: Key) -> Edits:
        found = self.edits.get(key)
        if found is None:
            found = self.edits[key] = Edits(self.read(Side.FINOPS, key))
        return found

    def write(self, side: Side, changes: Sequence[tuple[str, str, str, Any]]) -> None:
        """One transaction of a user: changes of (what, name, column, value). What the
        side itself refuses was never done."""
        connection = self.sql[side]
        noted = [self._edits(_key(self.prefix, change)) for change in changes]
        before = [self.read(side, _key(self.prefix, change)) for change in changes]
        try:
            with connection.transaction():
                done = [self._one(side, change) for change in changes]
        except psycopg.errors.IntegrityError:
            return
        self.history.append(f"{side.value}: {changes}")
        for change, edits, old, rows in zip(changes, noted, before, done, strict=True):
            if not rows:
                continue
            what, _, column, value = change
            if what in ("insert", "delete", "insert_group", "delete_group"):
                edits.made[side] = True
            elif old is not None:
                edits.columns[side][column] = (
                    self.group(value) if column == "groupid" and value else value
                )

    def _one(self, side: Side, change: tuple[str, str, str, Any]) -> int:
        what, name, column, value = change
        account = f"{self.prefix}{name}"
        finops = side is Side.FINOPS
        company = "(SELECT id FROM companies WHERE code = 'USMF')"
        execute = self.sql[side].execute
        if what == "insert_group":
            query = (
                "INSERT INTO groups VALUES ('usmf', %s, %s)"
                if finops
                else f"INSERT INTO crmgroups (company, groupid, description) "
                f"VALUES ({company}, %s, %s)"
            )
            return execute(query, [account, value]).rowcount
        if what == "update_group":
            query = (
                "UPDATE groups SET description = %s WHERE groupid = %s"
                if finops
                else "UPDATE crmgroups SET description = %s WHERE groupid = %s"
            )
            return execute(query, [value, account]).rowcount
        if what == "delete_group":
            table = "groups" if finops else "crmgroups"
            return execute(
                f"DELETE FROM {table} WHERE groupid = %s", [account]
            ).rowcount
        if what == "delete":
            query = (
                "DELETE FROM customers WHERE account = %s"
                if finops
                else "DELETE FROM accounts WHERE accountnumber = %s"
            )
            return execute(query, [account]).rowcount
        if what == "insert":
            query = (
                "INSERT INTO customers (dataareaid, account, name) "
                "VALUES ('usmf', %s, %s)"
                if finops
                else "INSERT INTO accounts (company, accountnumber, name, "
                f"customertype, hold) VALUES ({company}, %s, %s, 3, 0)"
            )
            return execute(query, [account, value]).rowcount
        return self._update(side, account, column, value)

    def _update(self, side: Side, account: str, column: str, value: Any) -> int:
        execute = self.sql[side].execute
        if side is Side.FINOPS:
            if column == "groupid" and value:
                value = self.group(value)
            return execute(
                f"UPDATE customers SET {column} = %s WHERE account = %s",
                [value, account],
            ).rowcount
        if column == "groupid":
            if value is None:
                return execute(
                    "UPDATE accounts SET crmgroup = NULL WHERE accountnumber = %s",
                    [account],
                ).rowcount
            return execute(
                "UPDATE accounts a SET crmgroup = g.id FROM crmgroups g "
                "WHERE a.accountnumber = %s AND g.groupid = %s "
                "AND g.company = a.company",
                [account, self.group(value)],
            ).rowcount
        name = {"memo": "description"}.get(column, column)
        if column == "hold":
            value = HOLDS.index(value)
        return execute(
            f"UPDATE accounts SET {name} = %s WHERE accountnumber = %s",
            [value, account],
        ).rowcount

    # -- what happens to the streams ------------------------------------------------

    def halt(self, side: Side) -> None:
        self.history.append(f"halt {side.value}")
        self.workers[side].stop()

    def go_on(self, side: Side) -> None:
        self.history.append(f"go on {side.value}")
        self.workers[side].start()

    def cut(self, side: Side) -> None:
        """Kill the connections that the streams hold to one side."""
        self.history.append(f"cut {side.value}")
        self.sql[side].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def mode(self, map_id: int, mode: LegMode) -> None:
        self.history.append(f"map {map_id} {mode.value}")
        self.link.state.set_mode(map_id, mode)

    def retry(self) -> None:
        self.history.append("retry")
        self.link.state.retry_all()

    # -- the judge ------------------------------------------------------------------

    def quiet(self) -> None:
        """Let everything arrive: what was committed before, both ways."""
        state = self.link.state
        with state.lock:
            for (map_id, _), leg in list(state.legs.items()):
                if leg.mode is LegMode.QUEUE:
                    state.set_mode(map_id, LegMode.DRAIN)
        for worker in self.workers.values():
            worker.start()
        wait_until(
            lambda: all(leg.mode is LegMode.LIVE for leg in state.legs.values()),
            QUIET_SECONDS,
            lambda: f"modes {state.legs} {state.reports} {self._failed()}",
        )
        self._passed()
        if state.errors:
            state.retry_all()
            self._passed()

    def _failed(self) -> list[str]:
        return [
            "".join(traceback.format_exception(error)[-12:])
            for one in self.workers.values()
            for error in one.failed
        ]

    def _passed(self) -> None:
        """Wait until a group made on each side has come to the other."""
        name = f"M{next(self._marks)}"
        self.sql[Side.FINOPS].execute(
            "INSERT INTO groups VALUES ('usmf', %s, 'mark')", [f"F{name}"]
        )
        self.sql[Side.DATAVERSE].execute(
            "INSERT INTO crmgroups (company, groupid, description) "
            "SELECT id, %s, 'mark' FROM companies WHERE code = 'USMF'",
            [f"D{name}"],
        )
        wait_until(
            lambda: (
                self.read(Side.DATAVERSE, ("groups", f"F{name}"))
                and self.read(Side.FINOPS, ("groups", f"D{name}"))
            ),
            QUIET_SECONDS,
            lambda: f"{self.link.state.reports} {self._failed()} {self.history}",
        )

    def judge(self) -> None:
        """Both sides agree on every record, and every write that nobody contested
        is there."""
        try:
            self._judge()
        except AssertionError as error:
            self.failure = error
            raise

    def _judge(self) -> None:
        self.quiet()
        wait_until(
            lambda: not self.different(),
            QUIET_SECONDS,
            lambda: (
                f"{self.different()} conflicts={self.link.state.conflicts[-4:]} "
                f"errors={[e.failure for e in self.link.state.errors.values()]} "
                f"{self.history}"
            ),
        )
        lost = [line for key in self.edits for line in self._lost(key)]
        assert not lost, f"{lost} {self.history}"
        self.edits = {}
        self.history.append("equal")

    def different(self) -> list[tuple[Key, Any, Any]]:
        """Records of this round that differ and are in no error list."""
        waiting = {key[2][-1] for key in list(self.link.state.errors)}
        found = []
        for key in self.edits:
            here, there = self.read(Side.FINOPS, key), self.read(Side.DATAVERSE, key)
            if here != there and key[1] not in waiting:
                found.append((key, here, there))
        return found

    def _lost(self, key: Key) -> list[str]:
        edits = self.edits[key]
        if key[1] in {found[2][-1] for found in self.link.state.errors}:
            return []
        if any(edits.made.values()):
            return []
        now = self.read(Side.FINOPS, key)
        if edits.before is None or now is None:
            return (
                [] if now == edits.before else [f"{key} is gone or came from nowhere"]
            )
        lost = []
        for column, value in now.items():
            sides = [side for side in Side if column in edits.columns[side]]
            if len(sides) == 2:
                continue
            wanted = edits.columns[sides[0]][column] if sides else edits.before[column]
            if value != wanted:
                lost.append(f"{key} {column}: {wanted!r} wanted, {value!r} there")
        return lost

    def compared(self) -> None:
        """The product's own judge finds no difference in either map."""
        for definition in (GROUPS, CUSTOMERS):
            result = compare(
                self.link.finops, self.link.dataverse, *legs_of(self.link, definition)
            )
            assert result.in_step or self.link.state.errors, result.examples

    def end(self) -> None:
        for worker in self.workers.values():
            with suppress(Exception):
                worker.stop()


def _key(prefix: str, change: tuple[str, str, str, Any]) -> Key:
    what, name, _, _ = change
    table = "groups" if what.endswith("group") else "customers"
    return table, f"{prefix}{name}"


def legs_of(link: Link, definition: Definition) -> list[CompiledLeg]:
    schemas = {
        Side.FINOPS: link.finops.tables(["groups", "customers"]),
        Side.DATAVERSE: link.dataverse.tables(["crmgroups", "accounts", "companies"]),
    }
    return [
        compile_leg(
            definition,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            COMPANIES,
        )
        for direction in (Direction.FINOPS_TO_DATAVERSE, Direction.DATAVERSE_TO_FINOPS)
    ]
