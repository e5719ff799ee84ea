"""A small ERP and CRM with two maps, linked and streamed by threads of the test."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.registry import connector_for
from syncengine.live import LiveSettings, LiveStream
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    KeyPair,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import CompanyRule
from syncengine.ports import LegMode
from tests.engine.memory import MemoryState, MemoryStream
from tests.waiting import wait_until

ERP = """
CREATE TABLE groups (
    dataareaid varchar(4) NOT NULL, groupid varchar(10) NOT NULL, description text,
    PRIMARY KEY (dataareaid, groupid));
CREATE TABLE customers (
    dataareaid varchar(4) NOT NULL, account varchar(20) NOT NULL,
    name varchar(60) NOT NULL, kind text NOT NULL DEFAULT 'Organization',
    groupid varchar(10), hold text NOT NULL DEFAULT 'No', credit numeric(14,2),
    memo text, internal_note text,
    PRIMARY KEY (dataareaid, account),
    FOREIGN KEY (dataareaid, groupid) REFERENCES groups (dataareaid, groupid));
"""

CRM = """
CREATE TABLE companies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), code varchar(4) NOT NULL UNIQUE);
CREATE TABLE crmgroups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid REFERENCES companies, groupid varchar(10) NOT NULL, description text,
    UNIQUE (company, groupid));
CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid REFERENCES companies, accountnumber varchar(20) NOT NULL,
    name varchar(40) NOT NULL, customertype int, crmgroup uuid REFERENCES crmgroups,
    hold int, credit numeric(14,2), description text, owner text,
    UNIQUE (company, accountnumber));
INSERT INTO companies (code) VALUES ('USMF'), ('DEMF'), ('XXXX');
"""

COMPANIES = (LegalEntityPair("usmf", "USMF"), LegalEntityPair("demf", "DEMF"))
BOTH = ColumnMapType.BOTH

GROUPS = TableMap(
    name="groups",
    finops_table="groups",
    dataverse_table="crmgroups",
    columns=(
        ColumnMap("groupid", "groupid", BOTH),
        ColumnMap("description", "description", BOTH),
    ),
    key=(KeyPair("groupid", "groupid"),),
)

CUSTOMERS = TableMap(
    name="customers",
    finops_table="customers",
    dataverse_table="accounts",
    columns=(
        ColumnMap("account", "accountnumber", BOTH),
        ColumnMap("name", "name", BOTH),
        ColumnMap("groupid", "crmgroup.groupid", BOTH),
        ColumnMap(
            "hold",
            "hold",
            ColumnMapType.BOTH_TRANSFORM,
            values=(("No", "0"), ("Invoice", "1"), ("All", "2")),
        ),
        ColumnMap("credit", "credit", BOTH),
        ColumnMap("memo", "description", BOTH),
        ColumnMap(None, "customertype", ColumnMapType.TO_DATAVERSE_TRANSFORM, "3"),
        ColumnMap("kind", None, ColumnMapType.TO_FINOPS_TRANSFORM, "Organization"),
    ),
    key=(KeyPair("account", "accountnumber"),),
    finops_filter='(kind == "Organization")',
    dataverse_filter="customertype eq 3",
)

QUICK = LiveSettings(
    wait=0.02,
    configuration_every=0.02,
    report_every=0.1,
    retry_every=0.1,
    check_every=0.2,
)


class Link:
    """Two databases, installed capture, and streams that run as threads."""

    def __init__(
        self,
        erp: str,
        crm: str,
        *,
        maps: Sequence[TableMap] = (GROUPS, CUSTOMERS),
        name: str = "t1",
        tables: tuple[str, str] = (ERP, CRM),
        settings: LiveSettings = QUICK,
    ) -> None:
        self.name = name
        self.settings = settings
        self.erp = psycopg.connect(erp, autocommit=True)
        self.crm = psycopg.connect(crm, autocommit=True)
        self.erp.execute(tables[0])
        self.crm.execute(tables[1])
        self.finops: Connector = connector_for(
            ConnectionSettings(
                "erp", Side.FINOPS, "postgres", erp, company=CompanyRule("dataareaid")
            )
        )
        self.dataverse: Connector = connector_for(
            ConnectionSettings(
                "crm",
                Side.DATAVERSE,
                "postgres",
                crm,
                company=CompanyRule("company", "companies", "code", ("companyid",)),
            )
        )
        self.finops.install(name, [table_map.finops_table for table_map in maps])
        self.dataverse.install(name, [table_map.dataverse_table for table_map in maps])
        self.state = MemoryState(maps, COMPANIES)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failed: list[BaseException] = []

    def stream(self, source: Side) -> LiveStream:
        connectors = {Side.FINOPS: self.finops, Side.DATAVERSE: self.dataverse}
        port = MemoryStream(self.state, source)
        return LiveStream(
            self.name,
            connectors[source],
            connectors[source.other],
            port,
            port,
            self.settings,
        )

    def start(
        self,
        mode: LegMode | None = LegMode.LIVE,
        sides: Sequence[Side] = tuple(Side),
    ) -> None:
        """Run the streams of `sides` until `stop`; all maps in `mode`."""
        if mode is not None:
            for number in {key[0] for key in self.state.legs}:
                self.state.set_mode(number, mode)
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._run, args=(side,), daemon=True)
            for side in sides
        ]
        for thread in self._threads:
            thread.start()
        self.settled(sides)

    def _run(self, side: Side) -> None:
        try:
            self.stream(side).run(self._stop.is_set)
        except BaseException as error:
            self.failed.append(error)

    def settled(self, sides: Sequence[Side] = tuple(Side)) -> None:
        """Wait until the streams work by the newest revision."""
        wait_until(
            lambda: all(
                self.state.acknowledged.get(side) == self.state.revision
                for side in sides
            ),
            message=lambda: f"{self.state.reports} {self.failed}",
        )

    def reports(self, state: str, side: Side = Side.FINOPS) -> bool:
        """True once the stream from `side` says that it is in this state."""
        report = self.state.reports.get(side)
        return report is not None and report.state == state

    def set_mode(self, map_id: int, mode: LegMode, **options: Any) -> None:
        self.state.set_mode(map_id, mode, **options)
        self.settled()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        if self.failed:
            raise self.failed[0]

    def close(self) -> None:
        self.stop()
        for connector in (self.finops, self.dataverse):
            connector.uninstall(self.name)
        self.erp.close()
        self.crm.close()

    def accounts(self) -> dict[str, tuple[Any, ...]]:
        """CRM accounts in ERP terms: key -> name, group, hold, credit, memo."""
        rows = self.crm.execute(
            "SELECT lower(c.code) || '/' || a.accountnumber, a.name, g.groupid, "
            "a.hold, a.credit, a.description FROM accounts a "
            "JOIN companies c ON c.id = a.company "
            "LEFT JOIN crmgroups g ON g.id = a.crmgroup"
        ).fetchall()
        return {row[0]: tuple(row[1:]) for row in rows}

    def customers(self) -> dict[str, tuple[Any, ...]]:
        """ERP organizations in the same form."""
        rows = self.erp.execute(
            "SELECT dataareaid || '/' || account, name, groupid, "
            "array_position(array['No','Invoice','All'], hold) - 1, credit, memo "
            "FROM customers WHERE kind = 'Organization' "
            "AND dataareaid IN ('usmf', 'demf')"
        ).fetchall()
        return {row[0]: tuple(row[1:]) for row in rows}

    def equal(self, timeout: float = 15) -> None:
        """Wait until both sides hold the same customers."""
        wait_until(
            lambda: self.accounts() == self.customers(),
            timeout,
            lambda: (
                f"{_difference(self.customers(), self.accounts())} "
                f"errors={[e.failure for e in self.state.errors.values()][:3]} "
                f"reports={self.state.reports} failed={self.failed}"
            ),
        )


def _difference(left: dict[str, Any], right: dict[str, Any]) -> list[Any]:
    keys = sorted(set(left) | set(right))
    return [
        (key, left.get(key), right.get(key))
        for key in keys
        if left.get(key) != right.get(key)
    ][:5]


def with_columns(table_map: TableMap, **changes: Any) -> TableMap:
    """The map with some of its settings replaced."""
    return replace(table_map, **changes)
