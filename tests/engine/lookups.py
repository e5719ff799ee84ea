"""Tables whose references need more than one column of one table to be found."""

from __future__ import annotations

from syncengine.mapping.model import ColumnMap, ColumnMapType, KeyPair, TableMap

ERP = """
CREATE TABLE hierarchies (name varchar(20) PRIMARY KEY);
CREATE TABLE categories (
    hierarchy varchar(20) NOT NULL, name varchar(20) NOT NULL,
    parenthierarchy varchar(20), parent varchar(20), description text,
    PRIMARY KEY (hierarchy, name));
CREATE TABLE items (
    dataareaid varchar(4) NOT NULL, item varchar(20) NOT NULL,
    category varchar(20), hierarchy varchar(20), customer varchar(20), note text,
    PRIMARY KEY (dataareaid, item));
CREATE TABLE prices (
    hierarchy varchar(20) NOT NULL, category varchar(20) NOT NULL, price numeric(10,2),
    PRIMARY KEY (hierarchy, category));
"""

CRM = """
CREATE TABLE companies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), code varchar(4) NOT NULL UNIQUE);
INSERT INTO companies (code) VALUES ('USMF'), ('DEMF');
CREATE TABLE hierarchies (
    hierarchyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(20) NOT NULL UNIQUE);
CREATE TABLE categories (
    categoryid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    hierarchy uuid NOT NULL REFERENCES hierarchies, name varchar(20) NOT NULL,
    parent uuid REFERENCES categories, description text, UNIQUE (hierarchy, name));
CREATE TABLE accounts (
    accountid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies, accountnumber varchar(20) NOT NULL,
    UNIQUE (company, accountnumber));
CREATE TABLE contacts (
    contactid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    companyid uuid NOT NULL REFERENCES companies, personnumber varchar(20) NOT NULL,
    UNIQUE (companyid, personnumber));
CREATE TABLE items (
    itemid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies, item varchar(20) NOT NULL,
    category uuid REFERENCES categories, customerid uuid, note text,
    UNIQUE (company, item));
CREATE TABLE prices (
    priceid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    category uuid NOT NULL UNIQUE REFERENCES categories, price numeric(10,2));
INSERT INTO accounts (company, accountnumber)
    SELECT id, 'A1' FROM companies UNION ALL SELECT id, 'A2' FROM companies;
INSERT INTO contacts (companyid, personnumber) SELECT id, 'P1' FROM companies;
"""

BOTH = ColumnMapType.BOTH

HIERARCHIES = TableMap(
    name="hierarchies",
    finops_table="hierarchies",
    dataverse_table="hierarchies",
    columns=(ColumnMap("name", "name", BOTH),),
    key=(KeyPair("name", "name"),),
)

CATEGORIES = TableMap(
    name="categories",
    finops_table="categories",
    dataverse_table="categories",
    columns=(
        ColumnMap("hierarchy", "hierarchy.name", BOTH),
        ColumnMap("name", "name", BOTH),
        ColumnMap("parent", "parent.name", BOTH),
        ColumnMap("parenthierarchy", "parent.hierarchy.name", BOTH),
        ColumnMap("description", "description", BOTH),
    ),
    key=(KeyPair("hierarchy", "hierarchy.name"), KeyPair("name", "name")),
)

ITEMS = TableMap(
    name="items",
    finops_table="items",
    dataverse_table="items",
    columns=(
        ColumnMap("item", "item", BOTH),
        ColumnMap("category", "category.name", BOTH),
        ColumnMap("hierarchy", "category.hierarchy.name", BOTH),
        ColumnMap(
            "customer",
            "customerid.Account(accountnumber).Contact(personnumber)",
            BOTH,
        ),
        ColumnMap("note", "note", BOTH),
    ),
    key=(KeyPair("item", "item"),),
)

PRICES = TableMap(
    name="prices",
    finops_table="prices",
    dataverse_table="prices",
    columns=(
        ColumnMap("hierarchy", "category.hierarchy.name", BOTH),
        ColumnMap("category", "category.name", BOTH),
        ColumnMap("price", "price", BOTH),
    ),
    key=(
        KeyPair("hierarchy", "category.hierarchy.name"),
        KeyPair("category", "category.name"),
    ),
)

MAPS = (HIERARCHIES, CATEGORIES, ITEMS, PRICES)
