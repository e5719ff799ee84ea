"""Whether both sides are in step, and all else is as it should be, in the end."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.chaos.tables import APPENDED, TABLES, Row, Table
from tests.chaos.workload import Client, Key
from tests.chaos.world import World

RETAINED_BYTES = 64 * 1024 * 1024

TAKEN_OVER_SECONDS = 15.0
"""Five for the lease, and what a worker needs to notice and to connect."""

Rows = dict[Row, Row]


class Verdict:
    """Findings about a world at rest; none is what is wanted."""

    def __init__(self, world: World, clients: Sequence[Client]) -> None:
        self.world = world
        self.clients = clients
        self.failing = {key for client in clients for key in client.failing}
        self.bad_side = {
            key: client.side for client in clients for key in client.failing
        }

    # -- while it settles -----------------------------------------------------------

    def unsettled(self) -> list[str]:
        """What still moves: maps, queues, streams, positions, differences."""
        found = self._states() + self._queue()
        if not found:
            found = self._differences() + self._errors()
        return found

    def _states(self) -> list[str]:
        rows = self.world.rows(
            "portal", "SELECT name, state, state_reason FROM maps_tablemap ORDER BY id"
        )
        found = [
            f"map {name} is {state}: {reason}"
            for name, state, reason in rows
            if state != "running"
        ]
        rows = self.world.rows(
            "portal", "SELECT source, state, message FROM environments_stream"
        )
        found += [
            f"the stream from {source} is {state}: {message}"
            for source, state, message in rows
            if state != "running"
        ]
        rows = self.world.rows(
            "portal",
            "SELECT m.name, r.state, r.message FROM runs_initialsyncrun r JOIN"
            " maps_tablemap m ON m.id = r.table_map_id WHERE r.state NOT IN"
            " ('completed', 'failed', 'cancelled')",
        )
        return found + [f"run of {one[0]} is {one[1]}: {one[2]}" for one in rows]

    def _queue(self) -> list[str]:
        (number,) = self.world.rows("portal", "SELECT count(*) FROM sync_queuedchange")[
            0
        ]
        return [f"{number} changes are queued"] if number else []

    def _rows_of(self, table: Table, side: str) -> Rows:
        rows = self.world.rows(side, table.select(side))
        return {row[: table.keys]: row for row in rows}

    def _differences(self) -> list[str]:
        found = []
        for name, table in TABLES.items():
            erp, crm = (self._rows_of(table, side) for side in ("erp", "crm"))
            for key in sorted({*erp, *crm}, key=str):
                if (name, key) in self.failing:
                    continue
                if erp.get(key) != crm.get(key):
                    found.append(
                        f"{name} {key}: ERP {erp.get(key)}, CRM {crm.get(key)}"
                    )
        return found

    def _errors(self) -> list[str]:
        open_errors = self.world.rows(
            "portal",
            "SELECT m.name, e.direction, e.key, e.code, e.message FROM errors_syncerror"
            " e JOIN maps_tablemap m ON m.id = e.table_map_id"
            " WHERE e.state IN ('open', 'retrying')",
        )
        listed = set()
        found = []
        for name, direction, key, code, message in open_errors:
            known = _common_key(name, key)
            listed.add(known)
            side = "erp" if direction.startswith("finops") else "crm"
            if self.bad_side.get(known) != side:
                found.append(f"error of {known} {direction}: {code}: {message}")
        found += [f"no error of {key}" for key in sorted(self.failing - listed)]
        return found

    # -- once it has settled --------------------------------------------------------

    def findings(self) -> list[str]:
        """Everything that must hold and does not."""
        return [
            *self.unsettled(),
            *self._promises(),
            *self._writes(),
            *self._slots(),
            *self._compared(),
            *self._web(),
            *(surprise for client in self.clients for surprise in client.surprises),
            *(f"{c.name} failed: {c.failed!r}" for c in self.clients if c.failed),
        ]

    def _promises(self) -> list[str]:
        """Every acknowledged change is there, on the own side and on the other."""
        found = []
        for name, table in TABLES.items():
            sides = {side: self._rows_of(table, side) for side in ("erp", "crm")}
            for client in self.clients:
                other = "crm" if client.side == "erp" else "erp"
                for (held, key), row in client.records.items():
                    if held != name:
                        continue
                    here = sides[client.side].get(key)
                    if here != row:
                        found.append(f"{client.name} lost {name} {row}, has {here}")
                    there = sides[other].get(key)
                    if there != row and (name, key) not in self.failing:
                        found.append(f"{name} {row} is {there} on {other}")
                for held, key in client.deleted:
                    for side, rows in sides.items():
                        if held == name and key in rows:
                            found.append(f"{name} {key} came back on {side}")
        return found

    def _writes(self) -> list[str]:
        """The product wrote each record of a table that only grows exactly once."""
        found = []
        for side, names in APPENDED.items():
            rows = self.world.rows(
                side,
                "SELECT relation, key, count(*), string_agg(operation, ' ')"
                " FROM audit GROUP BY relation, key HAVING count(*) > 1"
                " OR min(operation) <> 'INSERT'",
            )
            found += [
                f"{relation} {key} was written {number} times on {side}: {operations}"
                for relation, key, number, operations in rows
            ]
            written = {
                (relation, key)
                for relation, key in self.world.rows(
                    side, "SELECT relation, key FROM audit"
                )
            }
            expected = {
                (_relation(name, side), key[-1])
                for client in self.clients
                if client.side != side
                for name, key in client.records
                if _relation(name, side) in names
            }
            found += [f"{one} was never written" for one in sorted(expected - written)]
            found += [
                f"{one} came back to where it was made"
                for one in sorted(written - expected)
            ]
        return found

    def _slots(self) -> list[str]:
        """One slot a side, that holds little; nothing is left half done."""
        found = []
        for side in ("erp", "crm"):
            slots = self._read_slots(side)
            if len(slots) != 1:
                found.append(f"{side} has slots {slots}")
            found += [
                f"{side}: slot {name} active {active}, {status}, holds {held} bytes"
                for name, active, status, held in slots
                if not active or status != "reserved" or held > RETAINED_BYTES
            ]
            (prepared,) = self.world.rows(
                side, "SELECT count(*) FROM pg_prepared_xacts"
            )[0]
            if prepared:
                found.append(f"{side} has {prepared} prepared transactions")
        return found

    def _read_slots(self, side: str) -> list[Row]:
        """Slots of a side; one that nobody reads is looked at until it has been taken
        over, as it must be: a worker's last fault may be a moment old."""
        deadline = time.monotonic() + TAKEN_OVER_SECONDS
        while True:
            slots = self.world.rows(
                side,
                "SELECT slot_name, active, wal_status, pg_wal_lsn_diff("
                "pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots",
            )
            if all(slot[1] for slot in slots) or time.monotonic() > deadline:
                return slots
            time.sleep(0.2)

    def _compared(self) -> list[str]:
        """The product's own comparison agrees."""
        found = []
        for name in TABLES:
            failing = sum(1 for held, _ in self.failing if held == name)
            code, out, err = self.world.ask_again("compare", name, "--json")
            try:
                document: dict[str, Any] = json.loads(out)
            except ValueError:
                found.append(f"dw compare {name}: {code} {err}")
                continue
            unequal = (
                document.get("compared", 0) - document.get("equal", 0)
                if "error" not in document
                else -1
            )
            if unequal != failing:
                found.append(f"dw compare {name}: {failing} expected, {document}")
        return found

    def _web(self) -> list[str]:
        deadline = time.monotonic() + 30
        while True:
            try:
                address = f"http://127.0.0.1:{self.world.web_port}/healthz"
                with urllib.request.urlopen(address, timeout=5) as response:
                    if response.status == 200:
                        return []
            except OSError as error:
                if time.monotonic() > deadline:
                    return [f"the pages do not answer: {error}"]
                time.sleep(0.2)


def history(world: World, findings: Sequence[str]) -> list[str]:
    """What the portal knows of the records that findings name, in any state."""
    words = {word.strip("(),'") for text in findings for word in text.split()}
    words = {word for word in words if word.count("-") == 2 or word[:1] == "H"}
    said = []
    for query in (_ERRORS_OF, _CONFLICTS_OF):
        for row in world.rows("portal", query):
            if words & set(str(row[1]).replace("\x1f", " / ").split(" / ")):
                said.append(" | ".join(str(part) for part in row))
    return said


_ERRORS_OF = """
SELECT m.name, e.key_text, e.direction, e.phase, e.state, e.code, e.operation, e.count,
    e.attempts, e.position, e.first_seen, e.last_seen, left(e.message, 160)
FROM errors_syncerror e JOIN maps_tablemap m ON m.id = e.table_map_id ORDER BY e.id
"""
_CONFLICTS_OF = """
SELECT m.name, c.key_text, c.direction, c."column", c.winner, c.base, c.source_value,
    c.target_value, c.created_at
FROM errors_conflict c JOIN maps_tablemap m ON m.id = c.table_map_id ORDER BY c.id
"""


def _relation(name: str, side: str) -> str:
    table = TABLES[name]
    return table.finops if side == "erp" else table.dataverse


def _common_key(name: str, key: Sequence[Any]) -> Key:
    """The key of an error as `TABLES` spells it."""
    parts = [str(part) for part in key]
    if TABLES[name].company:
        parts[0] = parts[0].lower()
    return name, tuple(parts)


def settle(verdict: Verdict, seconds: float, poll: float = 0.5) -> list[str]:
    """Wait until nothing is unsettled; what is, at the deadline."""
    world = verdict.world
    deadline = time.monotonic() + seconds
    asked: dict[str, float] = {}
    while True:
        world.tend()
        try:
            found = verdict.unsettled()
        except psycopg.OperationalError as error:
            found = [f"a server does not answer: {error}"]
        if not found or time.monotonic() > deadline:
            return found
        _resume(world, asked)
        time.sleep(poll)


def _resume(world: World, asked: dict[str, float]) -> None:
    """What an administrator would do: run what stands still."""
    try:
        rows = world.rows("portal", "SELECT name, state FROM maps_tablemap")
    except psycopg.OperationalError:
        return
    for name, state in rows:
        action = {"paused": ["resume"], "not_running": ["run"]}.get(state)
        if action is None or time.monotonic() - asked.get(name, -9.0) < 5:
            continue
        asked[name] = time.monotonic()
        master = ["--master", "dataverse" if name == "visits" else "finops"]
        world.ask(*action, name, *(master if action == ["run"] else []))
