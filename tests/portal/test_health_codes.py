"""Each condition, planted on real systems, gives its code and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from portal.checks.services import check_map
from portal.environments.models import ConnectionSet
from portal.maps.models import MapState
from syncengine.mapping.model import HealthFinding, KeyPair, Severity
from syncengine.mapping.model import TableMap as Definition
from tests.portal.health_ground import (
    CUSTOMERS,
    KEY,
    LINKED,
    Systems,
    add_map,
    declared,
    line,
    with_lines,
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.django_db

E, W, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
CLEAN = {"1000", "1600", "1800", "PG_COMMIT_TIMESTAMP"}
"""What is good to know of the map in which nothing is wrong."""


@pytest.fixture(scope="module")
def systems(postgres: PostgresServer) -> Iterator[Systems]:
    made = Systems(postgres)
    yield made
    made.close()


@dataclass(frozen=True)
class Planted:
    """A condition: what is done to both databases, which map is checked beside which
    others, what must be found."""

    code: str
    severity: Severity
    erp: str = ""
    crm: str = ""
    table_map: Definition = CUSTOMERS
    others: tuple[tuple[Definition, MapState], ...] = ()
    legal_entities: tuple[tuple[str, str], ...] = LINKED
    name: str = ""
    where: Callable[[HealthFinding], bool] = field(default=lambda found: True)


def one_way(symbol: str, **changes: Any) -> Definition:
    """The customers map flowing one way only."""
    columns = tuple(
        replace(c, type=type(c.type)(symbol * len(c.type.value)))
        for c in CUSTOMERS.columns
        if c.finops and c.dataverse and len(c.type.value) == 1
    )
    return replace(CUSTOMERS, columns=columns, **changes)


def other(definition: Definition, **changes: Any) -> tuple[Definition, MapState]:
    """Another map of the connection set, not running."""
    return replace(definition, name="other", **changes), MapState.NOT_RUNNING


PLAIN = replace(CUSTOMERS, columns=(KEY, line("name", "=", "name")))
LOUD = "ADD loud text GENERATED ALWAYS AS (upper(name)) STORED"
VIEW = "CREATE VIEW v AS SELECT * FROM customers"
FOREIGN = (
    "CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA pg_catalog;"
    "DROP SERVER IF EXISTS far CASCADE;"
    "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
    "CREATE FOREIGN TABLE f (dataareaid text, account text, name text) SERVER far"
)
NOTE = (
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER note BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION note()"
)
CURRENCIES = Definition(
    "currencies",
    "currencies",
    "transactioncurrencies",
    (line("code", "=", "isocode"), line("name", "=", "name")),
    (KeyPair("code", "isocode"),),
)

CONDITIONS = [
    # -- the map against its tables (DIPV) ------------------------------------------
    Planted(
        "DIPV1002", E, table_map=with_lines(line("dataareaid", "=", "company.code"))
    ),
    Planted(
        "DIPV1002",
        E,
        name="a company-specific table to a shared one",
        table_map=replace(
            PLAIN,
            dataverse_table="transactioncurrencies",
            columns=(line("account", "=", "isocode"),),
            key=(KeyPair("account", "isocode"),),
            dataverse_filter="",
            finops_filter="",
        ),
    ),
    Planted("DIPV1003", E, table_map=replace(CUSTOMERS, key=())),
    Planted(
        "DIPV1004",
        E,
        table_map=replace(
            CUSTOMERS,
            columns=(line("account", ">", "accountnumber"), *CUSTOMERS.columns[1:]),
        ),
    ),
    Planted("DIPV1008", E, crm="DELETE FROM companies WHERE code = 'DAT'"),
    Planted("DIPV1008", E, erp="DELETE FROM legalentities WHERE dataareaid = 'dat'"),
    Planted("DIPV1010", E, crm="ALTER TABLE accounts ADD tier integer NOT NULL"),
    Planted(
        "DIPV1011",
        E,
        crm=f"ALTER TABLE accounts {LOUD}",
        table_map=with_lines(line("kind", ">", "loud")),
    ),
    Planted("DIPV1012", E, table_map=replace(CUSTOMERS, dataverse_filter="a eq (")),
    Planted(
        "DIPV1012",
        E,
        name="a column that is not there",
        table_map=replace(CUSTOMERS, dataverse_filter="ghost eq 1"),
    ),
    Planted("DIPV1014", E, table_map=replace(CUSTOMERS, columns=CUSTOMERS.columns[1:])),
    Planted(
        "DIPV1015",
        E,
        crm="DROP TABLE accounts; CREATE TABLE accounts (id serial PRIMARY KEY,"
        " company uuid NOT NULL REFERENCES companies, name text, customertype int,"
        " owner uuid NOT NULL, UNIQUE (company, owner));"
        "CREATE TABLE owners (id uuid PRIMARY KEY, number varchar(20) NOT NULL,"
        " place text NOT NULL, UNIQUE (number, place))",
        table_map=replace(
            PLAIN,
            columns=(line("account", ">", "owner.number"), line("name", ">", "name")),
            key=(KeyPair("account", "owner.number"),),
            lookups=(declared("owner", "owners"),),
        ),
        others=((replace(CURRENCIES, dataverse_table="owners"), MapState.RUNNING),),
    ),
    Planted("DIPV1016", E, legal_entities=()),
    Planted(
        "DIPV1017",
        E,
        table_map=replace(
            CURRENCIES,
            columns=(*CURRENCIES.columns, line("name", ">", "grp.number")),
        ),
    ),
    Planted("DIPV1018", E, table_map=replace(PLAIN, finops_table="ghosts")),
    Planted("DIPV1020", E, table_map=replace(PLAIN, dataverse_table="ghosts")),
    Planted(
        "DIPV1019",
        E,
        name="a view",
        erp=VIEW,
        table_map=replace(PLAIN, finops_table="v"),
    ),
    Planted(
        "DIPV1019",
        E,
        name="a foreign table",
        erp=FOREIGN,
        table_map=replace(PLAIN, finops_table="f"),
    ),
    Planted(
        "DIPV1019",
        E,
        name="one partition",
        erp="CREATE TABLE parts (LIKE customers INCLUDING ALL) PARTITION BY LIST"
        " (dataareaid); CREATE TABLE part PARTITION OF parts FOR VALUES IN ('usmf')",
        table_map=replace(PLAIN, finops_table="part"),
    ),
    Planted("DIPV1019", E, name="unlogged", erp="ALTER TABLE customers SET UNLOGGED"),
    Planted(
        "DIPV1019",
        E,
        name="no key",
        crm="ALTER TABLE accounts DROP CONSTRAINT accounts_pkey,"
        " DROP CONSTRAINT accounts_company_accountnumber_key",
    ),
    Planted("DIPV1021", E, table_map=with_lines(line(None, ">", "owner"))),
    Planted("DIPV1022", E, table_map=with_lines(line("ghost", ">", "owner"))),
    Planted(
        "DIPV1023",
        E,
        crm="ALTER TABLE accounts ADD a text, ADD b text",
        erp="ALTER TABLE customers ADD a text",
        table_map=with_lines(line("a", "=", "a"), line("a", "=", "b")),
    ),
    Planted("DIPV1024", E, table_map=with_lines(line("kind", ">", None))),
    Planted("DIPV1025", E, table_map=with_lines(line("kind", ">", "ghost"))),
    Planted("DIPV1026", E, table_map=with_lines(line("kind", ">", "name"))),
    Planted("DIPV1027", E, table_map=with_lines(line("kind", ">", "owner.number"))),
    Planted(
        "DIPV1028",
        E,
        erp="ALTER TABLE customers ADD owner text",
        table_map=with_lines(line("owner", "<", "owner.number")),
    ),
    Planted("DIPV1029", E, table_map=with_lines(line("name", "=", "name"))),
    Planted("DIPV1030", E, table_map=with_lines(line("born", ">", "owner"))),
    Planted(
        "DIPV1031",
        E,
        crm="ALTER TABLE accounts ADD tier integer NOT NULL",
        table_map=with_lines(line(None, ">>", "tier")),
    ),
    Planted(
        "DIPV1031",
        W,
        name="a source that may be empty",
        erp="ALTER TABLE customers ADD tier integer",
        crm="ALTER TABLE accounts ADD tier integer NOT NULL",
        table_map=with_lines(line("tier", ">", "tier")),
    ),
    # -- the health of a map --------------------------------------------------------
    Planted("500", W, table_map=one_way("<", finops_filter="")),
    Planted("900", E, table_map=replace(CUSTOMERS, finops_filter="(kind == ")),
    Planted("1000", INFO),
    Planted(
        "1300",
        W,
        erp=f"ALTER TABLE customers {LOUD}",
        crm="ALTER TABLE accounts ADD loud text",
        table_map=with_lines(line("loud", ">", "loud")),
    ),
    Planted("1600", INFO),
    Planted(
        "1700",
        W,
        others=(
            other(
                GROUPS_OF_CUSTOMERS := one_way(
                    ">",
                    finops_filter="",
                    dataverse_filter="",
                    dataverse_table="transactioncurrencies",
                )
            ),
        ),
    ),
    Planted("1800", W, table_map=replace(CUSTOMERS, dataverse_filter="")),
    Planted(
        "2000",
        W,
        erp="ALTER TABLE customers DROP CONSTRAINT customers_pkey,"
        " ALTER account DROP NOT NULL, ADD UNIQUE (dataareaid, account)",
    ),
    Planted(
        "5000",
        W,
        crm=NOTE,
        where=lambda found: "note (before update)" in found.message,
    ),
    Planted(
        "5100",
        E,
        crm="ALTER TABLE accounts DROP CONSTRAINT accounts_company_accountnumber_key",
    ),
    Planted("5200", W, crm="ALTER TABLE accounts ALTER accountnumber DROP NOT NULL"),
    # -- our own --------------------------------------------------------------------
    Planted(
        "VMAP100",
        W,
        table_map=replace(
            PLAIN,
            columns=(
                *PLAIN.columns,
                line("hold", "><", "hold", values={"No": "0", "Never": "0"}),
            ),
        ),
    ),
    Planted(
        "VMAP101",
        W,
        crm="CREATE TABLE owners (id uuid PRIMARY KEY, number varchar(20))",
        table_map=with_lines(
            line("kind", ">", "owner.number"), lookups=(declared("owner", "owners"),)
        ),
        others=((replace(CURRENCIES, dataverse_table="owners"), MapState.RUNNING),),
    ),
    Planted(
        "VMAP103",
        W,
        table_map=replace(
            CUSTOMERS, finops_filter='(kind == "Organization") && (hold != "")'
        ),
    ),
    Planted(
        "VMAP104",
        W,
        crm="CREATE TABLE owners (id uuid PRIMARY KEY, number varchar(20) UNIQUE)",
        table_map=with_lines(
            line("kind", ">", "owner.number"), lookups=(declared("owner", "owners"),)
        ),
        where=lambda found: found.place == "owner.number" and "map it" in found.cure,
    ),
    Planted(
        "VMAP104",
        W,
        name="a map that is not running",
        crm="CREATE TABLE owners (id uuid PRIMARY KEY, number varchar(20) UNIQUE)",
        table_map=with_lines(
            line("kind", ">", "owner.number"), lookups=(declared("owner", "owners"),)
        ),
        others=(other(CURRENCIES, dataverse_table="owners"),),
        where=lambda found: found.cure == "Run other first.",
    ),
    Planted(
        "VMAP105",
        W,
        others=(
            other(
                CURRENCIES,
                finops_table="legalentities",
                dataverse_table="accounts",
            ),
        ),
    ),
    Planted(
        "VMAP106",
        W,
        erp="ALTER TABLE customers DROP CONSTRAINT customers_pkey, ADD PRIMARY KEY"
        " (dataareaid, account, kind)",
        table_map=one_way(">", dataverse_filter=""),
    ),
    Planted(
        "PRECISION_MISMATCH",
        W,
        erp="ALTER TABLE customers ALTER credit TYPE numeric(12,4)",
    ),
]


def found_of(systems: Systems, planted: Planted) -> list[HealthFinding]:
    systems.afresh()
    if planted.erp:
        systems.erp.execute(planted.erp)
    if planted.crm:
        systems.crm.execute(planted.crm)
    connection_set = systems.link(planted.legal_entities)
    for definition, state in planted.others:
        add_map(connection_set, definition, state)
    return list(check_map(add_map(connection_set, planted.table_map)).findings)


@pytest.mark.parametrize(
    "planted",
    CONDITIONS,
    ids=lambda one: f"{one.code} {one.name or one.severity.value}",
)
def test_a_condition_gives_its_code_and_no_other(
    systems: Systems, planted: Planted
) -> None:
    found = found_of(systems, planted)
    told = {finding.code for finding in found if finding.severity is not INFO}
    assert told == ({planted.code} if planted.severity is not INFO else set()), found
    assert {finding.code for finding in found} <= CLEAN | {planted.code}
    own = [finding for finding in found if finding.code == planted.code]
    assert own
    for finding in own:
        assert finding.severity is planted.severity
        assert finding.place
        assert finding.cure
        assert finding.message.endswith((".", planted.table_map.finops_filter))
        assert planted.where(finding)


def test_a_key_that_may_be_empty_is_fine_where_the_filter_passes_it_over(
    systems: Systems,
) -> None:
    systems.afresh()
    systems.crm.execute("ALTER TABLE accounts ALTER accountnumber DROP NOT NULL")
    filtered = replace(
        CUSTOMERS, dataverse_filter="customertype eq 3 and accountnumber ne null"
    )
    found = check_map(add_map(systems.link(), filtered)).findings
    assert all(finding.severity is INFO for finding in found)


def test_clean_maps_give_neither_error_nor_warning(systems: Systems) -> None:
    systems.afresh()
    connection_set: ConnectionSet = systems.link()
    for definition in (CUSTOMERS, CURRENCIES):
        found = check_map(add_map(connection_set, definition)).findings
        assert {finding.code for finding in found} <= CLEAN
        assert all(finding.severity is INFO for finding in found)
