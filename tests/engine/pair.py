"""A small ERP and a small CRM database with two maps between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.registry import connector_for
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import CompanyRule
from syncengine.ports import RecordFailure

LINK = "dw0123456789ab"
LINKED = (LegalEntityPair("usmf", "USMF"), LegalEntityPair("dat", "DAT"))

ERP = """
CREATE TABLE customergroups (
    dataareaid varchar(4) NOT NULL, customergroupid varchar(10) NOT NULL,
    description varchar(60), PRIMARY KEY (dataareaid, customergroupid));
CREATE TABLE customersv3 (
    dataareaid varchar(4) NOT NULL, customeraccount varchar(20) NOT NULL,
    organizationname varchar(100), customergroupid varchar(10),
    partytype varchar(20) NOT NULL DEFAULT 'Organization',
    onholdstatus varchar(10), creditlimit numeric(32,6), score integer,
    PRIMARY KEY (dataareaid, customeraccount));
"""
CRM = """
CREATE TABLE cdm_companies (
    cdm_companyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    cdm_companycode varchar(4) NOT NULL UNIQUE);
INSERT INTO cdm_companies (cdm_companycode) VALUES ('USMF'), ('DAT'), ('XXXX');
CREATE TABLE msdyn_customergroups (
    msdyn_customergroupid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    msdyn_groupid varchar(10) NOT NULL, msdyn_description varchar(60),
    UNIQUE (msdyn_company, msdyn_groupid));
CREATE TABLE accounts (
    accountid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    accountnumber varchar(20), name varchar(40),
    msdyn_customergroupid uuid REFERENCES msdyn_customergroups,
    customertypecode integer, msdyn_onholdstatus integer,
    creditlimit numeric(19,4), score integer,
    UNIQUE (msdyn_company, accountnumber));
"""


def line(
    finops: str | None,
    symbol: str,
    dataverse: str | None,
    default: str | None = None,
    values: Mapping[str, str] | None = None,
) -> ColumnMap:
    pairs = tuple(values.items()) if values is not None else None
    return ColumnMap(finops, dataverse, ColumnMapType(symbol), default, pairs)


GROUPS_MAP = TableMap(
    "customer groups",
    "customergroups",
    "msdyn_customergroups",
    (
        line("customergroupid", "=", "msdyn_groupid"),
        line("description", "=", "msdyn_description"),
    ),
    (KeyPair("customergroupid", "msdyn_groupid"),),
)
CUSTOMERS_MAP = TableMap(
    "customers",
    "customersv3",
    "accounts",
    (
        line("customeraccount", "=", "accountnumber"),
        line("organizationname", "=", "name"),
        line("customergroupid", "=", "msdyn_customergroupid.msdyn_groupid"),
        line(
            "onholdstatus",
            "><",
            "msdyn_onholdstatus",
            values={"No": "0", "Invoice": "1", "All": "2"},
        ),
        line("creditlimit", ">", "creditlimit"),
        line("score", "<", "score"),
        line(None, ">>", "customertypecode", default="3"),
        line("partytype", "<<", None, default="Organization"),
    ),
    (KeyPair("customeraccount", "accountnumber"),),
    finops_filter='(partytype == "Organization")',
    dataverse_filter="customertypecode eq 3",
)


@dataclass
class MemoryJournal:
    """The part of a Journal that copies use, kept in memory."""

    failures: dict[Row, RecordFailure] = field(default_factory=dict)
    closed: list[Row] = field(default_factory=list)

    def record_failures(self, failures: Sequence[RecordFailure]) -> None:
        self.failures.update({failure.key: failure for failure in failures})

    def open_codes(self) -> dict[tuple[int, Direction], frozenset[str]]:
        return {
            (1, direction): frozenset(self.codes.values()) for direction in Direction
        }

    def open_among(
        self, map_id: int, direction: Direction, keys: Collection[Row]
    ) -> set[Row]:
        return {key for key in keys if key in self.failures}

    def close_failures(
        self,
        map_id: int,
        direction: Direction,
        keys: Sequence[Row],
        state: str,
        *,
        through: Sequence[str] = (),
    ) -> None:
        for key in keys:
            if self.failures.pop(key, None) is not None:
                self.closed.append(key)

    @property
    def codes(self) -> dict[Row, str]:
        return {key: failure.code for key, failure in self.failures.items()}


class Pair:
    """The two databases of a test, with SQL access and connectors."""

    def __init__(self, make_database: Callable[..., str]) -> None:
        dsns = {side: make_database(prefix=side.value) for side in Side}
        self.dsns = dsns
        companies = {
            Side.FINOPS: CompanyRule("dataareaid"),
            Side.DATAVERSE: CompanyRule(
                "msdyn_company", "cdm_companies", "cdm_companycode"
            ),
        }
        names = {Side.FINOPS: "erp", Side.DATAVERSE: "crm"}
        self.sql = {side: psycopg.connect(dsns[side], autocommit=True) for side in Side}
        self.connectors: dict[Side, Connector] = {
            side: connector_for(
                ConnectionSettings(
                    names[side],
                    side,
                    "postgres",
                    dsns[side],
                    company=companies[side],
                )
            )
            for side in Side
        }
        self.erp, self.crm = self.sql[Side.FINOPS], self.sql[Side.DATAVERSE]
        self.finops = self.connectors[Side.FINOPS]
        self.dataverse = self.connectors[Side.DATAVERSE]
        self.erp.execute(ERP)
        self.crm.execute(CRM)

    def close(self) -> None:
        for connection in self.sql.values():
            connection.close()

    def leg(
        self, table_map: TableMap, direction: Direction, linked: Sequence = LINKED
    ) -> CompiledLeg:
        schemas = {
            side: self.connectors[side].tables([table_map.table(side)]) for side in Side
        }
        return compile_leg(
            table_map,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            linked,
        )

    def legs(
        self, table_map: TableMap, linked: Sequence = LINKED
    ) -> tuple[CompiledLeg | None, CompiledLeg | None]:
        """To Dataverse and to FinOps, where the map flows."""
        forward, backward = Direction.FINOPS_TO_DATAVERSE, Direction.DATAVERSE_TO_FINOPS
        return (
            self.leg(table_map, forward, linked) if table_map.flows(forward) else None,
            self.leg(table_map, backward, linked)
            if table_map.flows(backward)
            else None,
        )

    def company(self, code: str) -> str:
        row = self.crm.execute(
            "SELECT cdm_companyid::text FROM cdm_companies WHERE cdm_companycode = %s",
            [code],
        ).fetchone()
        assert row is not None
        return row[0]

    def add_groups(self, *groups: str, company: str = "usmf") -> None:
        """Groups on both sides."""
        for group in groups:
            self.erp.execute(
                "INSERT INTO customergroups VALUES (%s, %s, %s)",
                [company, group, f"Group {group}"],
            )
            self.crm.execute(
                "INSERT INTO msdyn_customergroups"
                " (msdyn_company, msdyn_groupid, msdyn_description)"
                " VALUES (%s, %s, %s)",
                [self.company(company.upper()), group, f"Group {group}"],
            )

    def add_customer(
        self, account: str, company: str = "usmf", **values: object
    ) -> None:
        """One customer in the ERP."""
        row = {
            "dataareaid": company,
            "customeraccount": account,
            "organizationname": f"Name of {account}",
            "onholdstatus": "No",
            **values,
        }
        columns = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        self.erp.execute(
            f"INSERT INTO customersv3 ({columns}) VALUES ({places})",  # type: ignore[arg-type]
            list(row.values()),
        )

    def add_account(
        self, account: str, company: str = "USMF", **values: object
    ) -> None:
        """One account in the CRM."""
        row = {
            "msdyn_company": self.company(company),
            "accountnumber": account,
            "name": f"Name of {account}",
            "customertypecode": 3,
            "msdyn_onholdstatus": 0,
            **values,
        }
        columns = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        self.crm.execute(
            f"INSERT INTO accounts ({columns}) VALUES ({places})",  # type: ignore[arg-type]
            list(row.values()),
        )

    def accounts(self) -> dict[tuple[str, str], tuple]:
        """What the CRM holds: name, group, hold status and credit limit by key."""
        rows = self.crm.execute(
            "SELECT c.cdm_companycode, a.accountnumber, a.name, g.msdyn_groupid,"
            " a.msdyn_onholdstatus, a.creditlimit, a.customertypecode"
            " FROM accounts a JOIN cdm_companies c ON c.cdm_companyid = a.msdyn_company"
            " LEFT JOIN msdyn_customergroups g USING (msdyn_customergroupid)"
        ).fetchall()
        return {(row[0], row[1]): row[2:] for row in rows}
