"""Units of the tests: a decision log in SQL, a process that dies at a named step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from syncengine.atomic import AtomicUnit, UnitRecord, UnitState, write_unit
from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.branch import WriteKind
from syncengine.connectors.registry import connector_for
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.schema import CompanyRule
from tests.engine.link import COMPANIES, CUSTOMERS, GROUPS

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = "t1"
UNITS = "CREATE TABLE units (name text PRIMARY KEY, state text NOT NULL)"


class SqlLog:
    """The decision log in a table of its own, durable with each statement."""

    def __init__(self, dsn: str) -> None:
        self._sql = psycopg.connect(dsn, autocommit=True)

    def close(self) -> None:
        self._sql.close()

    def begin(self, name: str) -> None:
        self._sql.execute("INSERT INTO units VALUES (%s, 'preparing')", [name])

    def _move(self, name: str, old: str, new: str) -> bool:
        done = self._sql.execute(
            "UPDATE units SET state = %s WHERE name = %s AND state = %s",
            [new, name, old],
        )
        return done.rowcount == 1

    def decide(self, name: str) -> bool:
        return self._move(name, "preparing", "committing")

    def finish(self, name: str) -> None:
        self._move(name, "committing", "committed")

    def abort(self, name: str) -> bool:
        return self._move(name, "preparing", "aborted")

    def state(self, name: str) -> UnitState | None:
        row = self._sql.execute(
            "SELECT state FROM units WHERE name = %s", [name]
        ).fetchone()
        return None if row is None else UnitState(row[0])

    def undecided(self) -> Sequence[str]:
        rows = self._sql.execute("SELECT name FROM units WHERE state = 'committing'")
        return [row[0] for row in rows]


def connectors_of(erp: str, crm: str) -> dict[Side, Connector]:
    return {
        Side.FINOPS: connector_for(
            ConnectionSettings(
                "erp", Side.FINOPS, "postgres", erp, company=CompanyRule("dataareaid")
            )
        ),
        Side.DATAVERSE: connector_for(
            ConnectionSettings(
                "crm",
                Side.DATAVERSE,
                "postgres",
                crm,
                company=CompanyRule("company", "companies", "code", ("companyid",)),
            )
        ),
    }


def legs_of(connectors: Mapping[Side, Connector]) -> list[CompiledLeg]:
    schemas = {side: connectors[side].tables() for side in Side}
    return [
        compile_leg(
            table_map,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            COMPANIES,
        )
        for table_map in (GROUPS, CUSTOMERS)
        for direction in Direction
    ]


def customer(
    kind: str, account: str, *, carry: bool = True, **values: str | None
) -> UnitRecord:
    """A customer of the ERP side, company usmf."""
    key = {"dataareaid": "usmf", "account": account}
    if kind == "insert":
        return UnitRecord(
            Side.FINOPS, WriteKind.INSERT, "customers", {}, {**key, **values}, carry
        )
    return UnitRecord(Side.FINOPS, WriteKind(kind), "customers", key, values, carry)


def crm_account(kind: str, number: str, **values: str | None) -> UnitRecord:
    """An account of the CRM side, carried over by the maps."""
    key = {} if kind == "insert" else {"accountnumber": number}
    given = {"accountnumber": number, **values} if kind == "insert" else values
    return UnitRecord(
        Side.DATAVERSE, WriteKind(kind), "accounts", key, given, carry=True
    )


def write_and_die(step: str, dsns: Mapping[str, str], name: str, account: str) -> int:
    """Write a unit in a process that kills itself at `step`; its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.atomic", step, name, account],
        cwd=ROOT,
        env={**os.environ, "DSNS": json.dumps(dict(dsns))},
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def _main(step: str, name: str, account: str) -> None:
    dsns: dict[str, Any] = json.loads(os.environ["DSNS"])
    connectors = connectors_of(dsns["erp"], dsns["crm"])

    def at(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(SqlLog(dsns["log"])) as log:
        log.begin(name)
        records = [
            customer("insert", account, name="Of the unit", credit="12.50"),
            crm_account("update", "OLD", name=f"By {account}"),
        ]
        write_unit(
            AtomicUnit(name, records), LINK, connectors, legs_of(connectors), log, at=at
        )


if __name__ == "__main__":
    _main(*sys.argv[1:])
