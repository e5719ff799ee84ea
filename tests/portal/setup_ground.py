"""An ERP and a CRM with the tables of four ready-made maps, to be linked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.environments.models import Environment
    from portal.setup.models import SetupDraft

TAX_GROUPS = "Sales tax groups"
PAYMENT_DAYS = "Payment days CDS"
HIERARCHIES = "Product category hierarchies"
ROLES = "Product category hierarchy roles"

ERP = """
CREATE TABLE taxgroups (
    dataareaid varchar(4) NOT NULL, taxgroupcode varchar(20) NOT NULL,
    description varchar(60), PRIMARY KEY (dataareaid, taxgroupcode));
INSERT INTO taxgroups VALUES ('usmf', 'A', 'first'), ('usmf', 'B', 'second'),
    ('dat', 'A', 'other'), ('gone', 'A', 'nowhere else');
CREATE TABLE paymentdayscds (
    dataareaid varchar(4) NOT NULL, name varchar(20) NOT NULL,
    description varchar(60), PRIMARY KEY (dataareaid, name));
CREATE TABLE productcategoryhierarchies (
    hierarchyname varchar(60) PRIMARY KEY, hierarchydescription varchar(60));
CREATE TABLE productcategoryhierarchyroles (
    productcategoryhierarchyname varchar(60) NOT NULL,
    hierarchyrole varchar(30) NOT NULL,
    PRIMARY KEY (productcategoryhierarchyname, hierarchyrole));
"""
CRM = """
CREATE TABLE cdm_companies (
    cdm_companyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    cdm_companycode varchar(4) NOT NULL UNIQUE);
INSERT INTO cdm_companies (cdm_companycode) VALUES ('USMF'), ('DAT'), ('XXXX');
CREATE TABLE msdyn_taxgroups (
    msdyn_taxgroupid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    msdyn_name varchar(20) NOT NULL, msdyn_description varchar(60),
    UNIQUE (msdyn_company, msdyn_name));
INSERT INTO msdyn_taxgroups (msdyn_name) VALUES ('homeless');
CREATE TABLE msdyn_paymentdays (
    msdyn_paymentdayid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    msdyn_name varchar(20) NOT NULL, msdyn_description varchar(60),
    UNIQUE (msdyn_company, msdyn_name));
CREATE TABLE msdyn_productcategoryhierarchies (
    msdyn_productcategoryhierarchyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_name varchar(60) NOT NULL UNIQUE, msdyn_description varchar(60));
CREATE TABLE msdyn_productcategoryhierarchyroles (
    msdyn_roleid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_hierarchy uuid NOT NULL REFERENCES msdyn_productcategoryhierarchies,
    msdyn_hierarchyrole integer NOT NULL,
    UNIQUE (msdyn_hierarchy, msdyn_hierarchyrole));
"""


@dataclass
class SetupGround:
    """Both databases by side."""

    dsns: dict[Side, str]

    def execute(self, side: Side, statement: str) -> None:
        """Run statements as their owner."""
        with psycopg.connect(self.dsns[side], autocommit=True) as connection:
            connection.execute(statement.encode())

    def value(self, side: Side, query: str) -> object:
        """The first column of the first row."""
        with psycopg.connect(self.dsns[side], autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def make_ground(make_database: Callable[..., str]) -> SetupGround:
    """Two fresh databases with tables and a few rows."""
    ground = SetupGround({side: make_database() for side in Side})
    ground.execute(Side.FINOPS, ERP)
    ground.execute(Side.DATAVERSE, CRM)
    return ground


def environment(ground: SetupGround, side: Side, name: str = "") -> Environment:
    """An environment that is not stored, as the wizard's form makes it."""
    from portal.environments.models import Environment

    return Environment(
        name=name or f"{side.value}-system", role=side.value, dsn=ground.dsns[side]
    )


def connected_draft(ground: SetupGround, **values: str) -> SetupDraft:
    """A draft with both environments, as the first steps leave it."""
    from portal.setup import drafts
    from portal.setup.testing import test_environment

    draft = drafts.begin(**values)
    for side in Side:
        tested = test_environment(environment(ground, side))
        drafts.add_environment(draft, tested.environment)
        draft.refresh_from_db()
    return draft


def ready_draft(ground: SetupGround, *names: str, **values: str) -> SetupDraft:
    """A draft of which everything is settled and checked."""
    from portal.setup import checking, drafts

    draft = connected_draft(ground, **values)
    drafts.match_companies(draft)
    drafts.settle_companies(draft, {"usmf": "USMF", "dat": "DAT"}, ["usmf", "dat"])
    drafts.choose_maps(draft, names or (TAX_GROUPS, ROLES, HIERARCHIES))
    draft.refresh_from_db()
    checking.check(draft)
    return draft
