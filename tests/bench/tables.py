"""The tables of the benchmark and the rows in them."""

from __future__ import annotations

SOURCE = """
CREATE TABLE customergroups (
    dataareaid varchar(4) NOT NULL,
    customergroupid varchar(10) NOT NULL,
    description varchar(60),
    PRIMARY KEY (dataareaid, customergroupid)
);
INSERT INTO customergroups
SELECT company, (g * 10)::text, 'Group ' || g
FROM unnest(ARRAY['usmf', 'demf', 'frrt']) AS company, generate_series(1, 10) AS g;
"""

CUSTOMERS = """
CREATE TABLE customers (
    dataareaid varchar(4) NOT NULL,
    customeraccount varchar(20) NOT NULL,
    organizationname varchar(100),
    customergroupid varchar(10) NOT NULL,
    salescurrencycode varchar(3) NOT NULL,
    creditlimit numeric(32, 6) NOT NULL DEFAULT 0,
    creditlimitismandatory varchar(3) NOT NULL DEFAULT 'no',
    onholdstatus varchar(20) NOT NULL DEFAULT 'no',
    salesmemo text,
    partycountry varchar(3),
    paymenttermsbasedays integer NOT NULL DEFAULT 0,
    createddatetime timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataareaid, customeraccount)
);
"""

TARGET = """
CREATE TABLE companies (
    companyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code varchar(4) NOT NULL UNIQUE
);
INSERT INTO companies (code) VALUES ('USMF'), ('DEMF'), ('FRRT');
CREATE TABLE groups (
    groupid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies,
    name varchar(100) NOT NULL,
    UNIQUE (name, company)
);
INSERT INTO groups (company, name)
SELECT companyid, (g * 10)::text FROM companies, generate_series(1, 10) AS g;
CREATE TABLE accounts (
    accountid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company uuid NOT NULL REFERENCES companies,
    accountnumber varchar(20) NOT NULL,
    name varchar(160),
    groupid uuid REFERENCES groups,
    currency varchar(5),
    creditlimit numeric(19, 4),
    limitmandatory boolean,
    onholdstatus integer,
    description varchar(2000),
    country varchar(100),
    basedays integer,
    createdon timestamptz,
    UNIQUE (accountnumber, company)
);
"""

COLUMNS = (
    *("dataareaid", "customeraccount", "organizationname", "customergroupid"),
    *("salescurrencycode", "creditlimit", "creditlimitismandatory", "onholdstatus"),
    *("salesmemo", "partycountry", "paymenttermsbasedays", "createddatetime"),
)

ROW = """
    (ARRAY['usmf', 'demf', 'frrt'])[1 + n % 3],
    '{prefix}' || lpad(n::text, 9, '0'),
    'Kunde Nr. ' || n || ' Größe & Söhne GmbH',
    ((1 + n % 10) * 10)::text,
    (ARRAY['USD', 'EUR', 'EUR'])[1 + n % 3],
    (n % 100000) + 0.25,
    (ARRAY['no', 'yes'])[1 + n % 2],
    (ARRAY['no', 'invoice', 'all', 'payment'])[1 + n % 4],
    CASE WHEN n % 3 = 0 THEN 'Call before delivery, number ' || n END,
    (ARRAY['USA', 'DEU', 'FRA'])[1 + n % 3],
    (n % 60)::integer,
    timestamptz '2024-01-01 00:00:00+00' + make_interval(secs => n % 30000000)
"""
"""One source row out of the number `n`, in the order of `COLUMNS`."""

GENERATED = f"(SELECT {ROW.format(prefix='{prefix}')} FROM {{numbers}} AS n)"
"""Source rows as a subquery, numbered by a set of numbers."""

FILL = f"""
INSERT INTO customers SELECT {ROW.format(prefix="C")}
FROM generate_series(1::bigint, {{rows}}) AS n
"""

MAPPED_COLUMNS = """
    c.companyid, s.customeraccount, s.organizationname, g.groupid,
    s.salescurrencycode, s.creditlimit,
    CASE s.creditlimitismandatory WHEN 'no' THEN false WHEN 'yes' THEN true END,
    CASE s.onholdstatus WHEN 'no' THEN 0 WHEN 'invoice' THEN 1 WHEN 'all' THEN 2
        WHEN 'payment' THEN 3 END,
    s.salesmemo, s.partycountry, s.paymenttermsbasedays, s.createddatetime
"""

FILL_TARGET = f"""
INSERT INTO accounts (company, accountnumber, name, groupid, currency, creditlimit,
    limitmandatory, onholdstatus, description, country, basedays, createdon)
SELECT {MAPPED_COLUMNS}
FROM {{staged}} AS s ({", ".join(COLUMNS)})
JOIN companies c ON c.code = upper(s.dataareaid)
LEFT JOIN groups g ON g.company = c.companyid AND g.name = s.customergroupid
"""

ON_CONFLICT = """
ON CONFLICT (accountnumber, company) DO UPDATE SET
    (name, groupid, currency, creditlimit, limitmandatory, onholdstatus, description,
     country, basedays, createdon) =
    (excluded.name, excluded.groupid, excluded.currency, excluded.creditlimit,
     excluded.limitmandatory, excluded.onholdstatus, excluded.description,
     excluded.country, excluded.basedays, excluded.createdon)
WHERE (accounts.name, accounts.groupid, accounts.currency, accounts.creditlimit,
     accounts.limitmandatory, accounts.onholdstatus, accounts.description,
     accounts.country, accounts.basedays, accounts.createdon) IS DISTINCT FROM
    (excluded.name, excluded.groupid, excluded.currency, excluded.creditlimit,
     excluded.limitmandatory, excluded.onholdstatus, excluded.description,
     excluded.country, excluded.basedays, excluded.createdon)
"""
