"""Two business systems of thirteen tables each, and the maps between them.

Parents and children, references to the own table, composite keys, value maps,
companies, tables without, and tables that go one way only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLE = "product"
PASSWORD = "of-the-product"
CONNECTION_SET = "chaos"
COMPANIES = ("usmf", "demf")
HOLDS = {"No": 0, "Invoice": 1, "All": 2}
STATUSES = {"Open": 10, "Shipped": 20, "Invoiced": 30}

ERP = """
CREATE TABLE groups (dataareaid text, groupid text, description text, stamp bigint,
  PRIMARY KEY (dataareaid, groupid));
CREATE TABLE terms (termid text PRIMARY KEY, days int, title text, stamp bigint);
CREATE TABLE products (productid text PRIMARY KEY, name text, price numeric(12, 2),
  status text, stamp bigint);
CREATE TABLE workers (workerid text PRIMARY KEY, name text,
  managerid text REFERENCES workers, stamp bigint);
CREATE TABLE customers (dataareaid text, account text, name text, groupid text,
  parentaccount text, hold text, credit numeric(14, 2), stamp bigint,
  PRIMARY KEY (dataareaid, account),
  FOREIGN KEY (dataareaid, groupid) REFERENCES groups,
  FOREIGN KEY (dataareaid, parentaccount) REFERENCES customers);
CREATE TABLE contacts (dataareaid text, contactid text, account text, fullname text,
  birthday date, stamp bigint, PRIMARY KEY (dataareaid, contactid),
  FOREIGN KEY (dataareaid, account) REFERENCES customers);
CREATE TABLE warehouses (dataareaid text, site text, warehouse text, name text,
  stamp bigint, PRIMARY KEY (dataareaid, site, warehouse));
CREATE TABLE orders (dataareaid text, ordernumber text, account text, status text,
  stamp bigint, PRIMARY KEY (dataareaid, ordernumber),
  FOREIGN KEY (dataareaid, account) REFERENCES customers);
CREATE TABLE orderlines (dataareaid text, ordernumber text, linenumber int,
  quantity numeric(10, 2), stamp bigint,
  PRIMARY KEY (dataareaid, ordernumber, linenumber),
  FOREIGN KEY (dataareaid, ordernumber) REFERENCES orders);
CREATE TABLE hot (hotid text PRIMARY KEY, one text, two text, three text);
CREATE TABLE ledger (dataareaid text, entry text, account text, amount numeric(14, 2),
  PRIMARY KEY (dataareaid, entry));
CREATE TABLE visits (dataareaid text, visit text, account text, remark text,
  PRIMARY KEY (dataareaid, visit));
CREATE TABLE notes (noteid text PRIMARY KEY, body text);
"""

CRM = """
CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  code text UNIQUE);
INSERT INTO companies (code) VALUES ('USMF'), ('DEMF');
CREATE TABLE crmgroups (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, groupid text, description text, stamp bigint,
  UNIQUE (company, groupid));
CREATE TABLE crmterms (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  termid text UNIQUE, days int, title text, stamp bigint);
CREATE TABLE crmproducts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  productid text UNIQUE, name varchar(40), price numeric(12, 2), status int,
  stamp bigint);
CREATE TABLE crmworkers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  workerid text UNIQUE, name text, manager uuid REFERENCES crmworkers, stamp bigint);
CREATE TABLE accounts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, accountnumber text, name text,
  crmgroup uuid REFERENCES crmgroups, parent uuid REFERENCES accounts, hold int,
  credit numeric(14, 2), stamp bigint, UNIQUE (company, accountnumber));
CREATE TABLE crmcontacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, contactid text,
  account uuid REFERENCES accounts, fullname varchar(40), birthday date, stamp bigint,
  UNIQUE (company, contactid));
CREATE TABLE crmwarehouses (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, site text, warehouse text, name text,
  stamp bigint, UNIQUE (company, site, warehouse));
CREATE TABLE crmorders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, ordernumber text,
  account uuid REFERENCES accounts, status int, stamp bigint,
  UNIQUE (company, ordernumber));
CREATE TABLE crmorderlines (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, crmorder uuid REFERENCES crmorders,
  linenumber int, quantity numeric(10, 2), stamp bigint,
  UNIQUE (company, crmorder, linenumber));
CREATE TABLE crmhot (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  hotid text UNIQUE, one text, two text, three text);
CREATE TABLE crmledger (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, entry text, account uuid REFERENCES accounts,
  amount numeric(14, 2), UNIQUE (company, entry));
CREATE TABLE crmvisits (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  company uuid REFERENCES companies, visit text, account uuid REFERENCES accounts,
  remark text, UNIQUE (company, visit));
CREATE TABLE crmnotes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  noteid text UNIQUE, body text);
"""

AUDIT = """
CREATE TABLE audit (id bigserial PRIMARY KEY, relation text, operation text, key text);
CREATE FUNCTION audit_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE line jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    IF session_user = 'product' THEN
        INSERT INTO audit (relation, operation, key) VALUES (TG_TABLE_NAME, TG_OP,
            coalesce(line->>'entry', line->>'visit', line->>'noteid'));
    END IF;
    RETURN NULL;
END $$;
"""
"""How often the product wrote each record of a table that only grows. The lines are
written in the product's own transaction: what rolls back leaves none."""

APPENDED = {"erp": ("visits", "notes"), "crm": ("crmledger", "crmnotes")}

Row = tuple[Any, ...]
"""The company, where the table has one, then the values of `Table.columns`."""


@dataclass(frozen=True)
class Column:
    """A column on both sides. `reference` is the table and column on the CRM that its
    identifier leads to; `values` are the ERP's words and the CRM's numbers."""

    finops: str
    dataverse: str
    reference: tuple[str, str] | None = None
    values: Mapping[str, int] | None = None
    key: bool = False


@dataclass(frozen=True)
class Table:
    """One table of each side under one map.

    Its SQL is the harness's own: the verdict does not rest on the product's
    understanding of the map.
    """

    name: str
    finops: str
    dataverse: str
    company: bool
    columns: tuple[Column, ...]
    way: str = "="
    on_error: str = "transaction"

    @property
    def keys(self) -> int:
        """How many of a row's first values identify it."""
        return self.company + sum(column.key for column in self.columns)

    def select(self, side: str) -> str:
        """All rows in the common form."""
        names = ", ".join(f"v{n}" for n in range(self.company + len(self.columns)))
        return f"SELECT * FROM ({self._rows(side)}) AS q ({names})"

    def find(self, side: str) -> str:
        """The row of a key."""
        conditions = " AND ".join(f"v{n} = %s" for n in range(self.keys))
        return f"{self.select(side)} WHERE {conditions}"

    def _rows(self, side: str) -> str:
        if side == "erp":
            parts = ["t.dataareaid"] if self.company else []
            parts += [_spelled(column) for column in self.columns]
            return f"SELECT {', '.join(parts)} FROM {self.finops} t"
        parts = ["lower(c.code)"] if self.company else []
        joins = " JOIN companies c ON c.id = t.company" if self.company else ""
        for place, column in enumerate(self.columns):
            if column.reference is None:
                parts.append(f"t.{column.dataverse}")
                continue
            table, key = column.reference
            parts.append(f"r{place}.{key}")
            joins += (
                f" LEFT JOIN {table} r{place} ON r{place}.id = t.{column.dataverse}"
            )
        return f"SELECT {', '.join(parts)} FROM {self.dataverse} t{joins}"

    def insert(self, side: str, row: Row) -> tuple[str, list[Any]]:
        """The statement that adds a row."""
        table, names, terms, values = self.finops, [], [], []
        if side == "crm":
            table = self.dataverse
        if self.company:
            names.append("dataareaid" if side == "erp" else "company")
            terms.append("%s" if side == "erp" else _COMPANY)
            values.append(row[0])
        for column, value in zip(self.columns, row[self.company :], strict=True):
            names.append(column.finops if side == "erp" else column.dataverse)
            term, bound = self._term(side, column, value, row)
            terms.append(term)
            values += bound
        listed = f"({', '.join(names)}) VALUES ({', '.join(terms)})"
        return f"INSERT INTO {table} {listed}", values

    def update(self, side: str, old: Row, new: Row) -> tuple[str, list[Any]]:
        """The statement that makes `old` the row `new` of the same key."""
        parts, values = [], []
        for place, column in enumerate(self.columns, self.company):
            if old[place] == new[place]:
                continue
            term, bound = self._term(side, column, new[place], new)
            name = column.finops if side == "erp" else column.dataverse
            parts.append(f"{name} = {term}")
            values += bound
        where, found = self._where(side, new)
        table = self.finops if side == "erp" else self.dataverse
        return f"UPDATE {table} SET {', '.join(parts)} WHERE {where}", values + found

    def delete(self, side: str, row: Row) -> tuple[str, list[Any]]:
        """The statement that removes the row of this key."""
        where, values = self._where(side, row)
        table = self.finops if side == "erp" else self.dataverse
        return f"DELETE FROM {table} WHERE {where}", values

    def _where(self, side: str, row: Row) -> tuple[str, list[Any]]:
        conditions, values = [], []
        if self.company:
            conditions.append(
                "dataareaid = %s" if side == "erp" else f"company = {_COMPANY}"
            )
            values.append(row[0])
        for place, column in enumerate(self.columns, self.company):
            if column.key:
                term, bound = self._term(side, column, row[place], row)
                name = column.finops if side == "erp" else column.dataverse
                conditions.append(f"{name} = {term}")
                values += bound
        return " AND ".join(conditions), values

    def _term(
        self, side: str, column: Column, value: Any, row: Row
    ) -> tuple[str, list[Any]]:
        if side == "erp" and column.values is not None:
            words = {number: word for word, number in column.values.items()}
            return "%s", [words.get(value, "Bogus")]
        if side == "erp" or column.reference is None:
            return "%s", [value]
        table, key = column.reference
        if table == "crmworkers":
            return f"(SELECT id FROM {table} WHERE {key} = %s)", [value]
        inner = f"SELECT id FROM {table} WHERE company = {_COMPANY} AND {key} = %s"
        return f"({inner})", [row[0], value]


_COMPANY = "(SELECT id FROM companies WHERE lower(code) = %s)"


def _spelled(column: Column) -> str:
    if column.values is None:
        return f"t.{column.finops}"
    cases = " ".join(
        f"WHEN '{word}' THEN {number}" for word, number in column.values.items()
    )
    return f"CASE t.{column.finops} {cases} ELSE 99 END"


def _same(*names: str) -> tuple[Column, ...]:
    """Columns of one name on both sides; the first is the key."""
    return tuple(Column(name, name, key=not place) for place, name in enumerate(names))


_STAMP = Column("stamp", "stamp")
_ACCOUNT = Column("account", "account", ("accounts", "accountnumber"))
_STATUS = Column("status", "status", values=STATUSES)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            *("groups", "groups", "crmgroups", True),
            (*_same("groupid", "description"), _STAMP),
        ),
        Table(
            *("terms", "terms", "crmterms", False),
            (*_same("termid", "days", "title"), _STAMP),
            way=">",
        ),
        Table(
            *("products", "products", "crmproducts", False),
            (*_same("productid", "name", "price"), _STATUS, _STAMP),
            on_error="record",
        ),
        Table(
            *("workers", "workers", "crmworkers", False),
            (
                *_same("workerid", "name"),
                Column("managerid", "manager", ("crmworkers", "workerid")),
                _STAMP,
            ),
        ),
        Table(
            *("customers", "customers", "accounts", True),
            (
                Column("account", "accountnumber", key=True),
                Column("name", "name"),
                Column("groupid", "crmgroup", ("crmgroups", "groupid")),
                Column("parentaccount", "parent", ("accounts", "accountnumber")),
                Column("hold", "hold", values=HOLDS),
                Column("credit", "credit"),
                _STAMP,
            ),
        ),
        Table(
            *("contacts", "contacts", "crmcontacts", True),
            (*_same("contactid", "fullname", "birthday"), _ACCOUNT, _STAMP),
            on_error="record",
        ),
        Table(
            *("warehouses", "warehouses", "crmwarehouses", True),
            (
                *_same("site"),
                *_same("warehouse"),
                Column("name", "name"),
                _STAMP,
            ),
        ),
        Table(
            *("orders", "orders", "crmorders", True),
            (*_same("ordernumber"), _ACCOUNT, _STATUS, _STAMP),
        ),
        Table(
            *("order lines", "orderlines", "crmorderlines", True),
            (
                Column(
                    "ordernumber",
                    "crmorder",
                    ("crmorders", "ordernumber"),
                    key=True,
                ),
                *_same("linenumber", "quantity"),
                _STAMP,
            ),
        ),
        Table(*("hot", "hot", "crmhot", False), _same("hotid", "one", "two", "three")),
        Table(
            *("ledger", "ledger", "crmledger", True),
            (*_same("entry", "amount"), _ACCOUNT),
            way=">",
        ),
        Table(
            *("visits", "visits", "crmvisits", True),
            (*_same("visit", "remark"), _ACCOUNT),
            way="<",
        ),
        Table(*("notes", "notes", "crmnotes", False), _same("noteid", "body")),
    )
}


def names() -> list[str]:
    """The names of all maps."""
    return list(TABLES)


def document(erp: str, crm: str) -> dict[str, Any]:
    """What `dw apply` takes; `erp` and `crm` are connection strings."""
    return {
        "environments": [
            {
                "name": "chaos-erp",
                "role": "finops",
                "connector": "postgres",
                "dsn": erp,
                "schema": "public",
                "company": {"column": "dataareaid"},
            },
            {
                "name": "chaos-crm",
                "role": "dataverse",
                "connector": "postgres",
                "dsn": crm,
                "schema": "public",
                "company": {"column": "company", "lookup": "companies.code"},
            },
        ],
        "connection_sets": [
            {
                "name": CONNECTION_SET,
                "finops": "chaos-erp",
                "dataverse": "chaos-crm",
                "legal_entities": [
                    {"finops": name, "dataverse": name.upper()} for name in COMPANIES
                ],
            }
        ],
        "maps": [_table_map(table) for table in TABLES.values()],
    }


def _table_map(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "connection_set": CONNECTION_SET,
        "finops": table.finops,
        "dataverse": table.dataverse,
        "publisher": "chaos",
        "version": "1.0.0.0",
        "on_error": table.on_error,
        "key": [[one.finops, _path(one)] for one in table.columns if one.key],
        "columns": [_line(table, one) for one in table.columns],
    }


def _path(column: Column) -> str:
    if column.reference is None:
        return column.dataverse
    return f"{column.dataverse}.{column.reference[1]}"


def _line(table: Table, column: Column) -> dict[str, Any]:
    line: dict[str, Any] = {
        "finops": column.finops,
        "type": table.way,
        "dataverse": _path(column),
    }
    if column.values is not None:
        line["type"] = {"=": "><", ">": ">>", "<": "<<"}[table.way]
        line["values"] = {word: str(n) for word, n in column.values.items()}
    return line
