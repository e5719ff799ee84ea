"""Two small systems and two maps between them in which nothing is to be found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from portal.environments.models import ConnectionSet
from portal.maps.models import MapState, TableMap
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    KeyPair,
    LookupDeclaration,
    Side,
)
from syncengine.mapping.model import TableMap as Definition
from tests.factories import make_connection_set, make_environment, make_map
from tests.servers import PostgresServer

ERP = """
CREATE TABLE legalentities (dataareaid varchar(4) PRIMARY KEY, name varchar(60));
INSERT INTO legalentities VALUES ('usmf', 'USA'), ('dat', 'Nowhere');
CREATE TABLE customergroups (
    dataareaid varchar(4) NOT NULL REFERENCES legalentities,
    groupid varchar(10) NOT NULL, description varchar(60),
    PRIMARY KEY (dataareaid, groupid));
CREATE TABLE customers (
    dataareaid varchar(4) NOT NULL REFERENCES legalentities,
    account varchar(20) NOT NULL, name varchar(40), groupid varchar(10),
    kind varchar(20) NOT NULL DEFAULT 'Organization', hold varchar(10),
    credit numeric(10,2), born date, PRIMARY KEY (dataareaid, account));
CREATE TABLE currencies (code varchar(3) PRIMARY KEY, name varchar(40));
"""
CRM = """
CREATE TABLE companies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), code varchar(4) NOT NULL);
INSERT INTO companies (code) VALUES ('USMF'), ('DAT');
CREATE TABLE groups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies, number varchar(10) NOT NULL,
    description varchar(60), UNIQUE (company, number));
CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies, accountnumber varchar(20) NOT NULL,
    name varchar(40), grp uuid REFERENCES groups, customertype integer,
    hold integer, credit numeric(10,2), born date, owner uuid,
    UNIQUE (company, accountnumber));
CREATE TABLE transactioncurrencies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), isocode varchar(3) NOT NULL UNIQUE,
    name varchar(40), grp uuid REFERENCES groups);
"""
AFRESH = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
LINKED = (("usmf", "USMF"), ("dat", "DAT"))


def line(
    finops: str | None,
    symbol: str,
    dataverse: str | None,
    default: str | None = None,
    values: dict[str, str] | None = None,
) -> ColumnMap:
    """One line of a map."""
    pairs = tuple(values.items()) if values is not None else None
    return ColumnMap(finops, dataverse, ColumnMapType(symbol), default, pairs)


KEY = line("account", "=", "accountnumber")
GROUPS = Definition(
    "groups",
    "customergroups",
    "groups",
    (line("groupid", "=", "number"), line("description", "=", "description")),
    (KeyPair("groupid", "number"),),
)
CUSTOMERS = Definition(
    "customers",
    "customers",
    "accounts",
    (
        KEY,
        line("name", "=", "name"),
        line("groupid", "=", "grp.number"),
        line("hold", "><", "hold", values={"No": "0", "All": "2"}),
        line("credit", "=", "credit"),
        line("born", "=", "born"),
        line(None, ">>", "customertype", default="3"),
        line("kind", "<<", None, default="Organization"),
    ),
    (KeyPair("account", "accountnumber"),),
    finops_filter='(kind == "Organization")',
    dataverse_filter="customertype eq 3",
)


def with_lines(*lines: ColumnMap, **changes: Any) -> Definition:
    """The customers map with further lines."""
    return replace(CUSTOMERS, columns=(*CUSTOMERS.columns, *lines), **changes)


def declared(column: str, table: str, reference: str = "id") -> LookupDeclaration:
    """A reference of accounts that the database does not declare."""
    return LookupDeclaration(Side.DATAVERSE, column, table, reference)


class Systems:
    """Both databases, made anew for each test that asks."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.dsns = {side: server.create_database(side.value) for side in Side}
        self.sql = {
            side: psycopg.connect(dsn, autocommit=True)
            for side, dsn in self.dsns.items()
        }

    @property
    def erp(self) -> psycopg.Connection[Any]:
        """SQL on the finance and operations side."""
        return self.sql[Side.FINOPS]

    @property
    def crm(self) -> psycopg.Connection[Any]:
        """SQL on the Dataverse side."""
        return self.sql[Side.DATAVERSE]

    def afresh(self) -> None:
        """The tables as they are when nothing is wrong."""
        self.erp.execute(AFRESH + ERP)
        self.crm.execute(AFRESH + CRM)

    def close(self) -> None:
        """Drop both."""
        for connection in self.sql.values():
            connection.close()
        for dsn in self.dsns.values():
            self.server.drop_database(dsn)

    def link(
        self, legal_entities: tuple[tuple[str, str], ...] = LINKED
    ) -> ConnectionSet:
        """The connection set between them; its groups map runs."""
        made = make_connection_set(
            name="main",
            finops=make_environment(
                "finops",
                name="erp",
                dsn=self.dsns[Side.FINOPS],
                company_column="dataareaid",
            ),
            dataverse=make_environment(
                "dataverse",
                name="crm",
                dsn=self.dsns[Side.DATAVERSE],
                company_column="company",
                company_lookup_table="companies",
                company_lookup_column="code",
            ),
            legal_entities=legal_entities,
        )
        make_map(made, definition=GROUPS, name="groups", state=MapState.RUNNING)
        return made


def add_map(
    connection_set: ConnectionSet,
    definition: Definition = CUSTOMERS,
    state: MapState = MapState.NOT_RUNNING,
) -> TableMap:
    """A map of `definition`."""
    made = make_map(
        connection_set, definition=definition, name=definition.name, state=state
    )
    made.refresh_from_db()
    return made
