"""Fills the two sample databases: the same rows for the same seed, within seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from decimal import Decimal
from importlib import resources
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from portal.sample import words
from portal.sample.customers import Customer, is_organization, make_customer

SEED = 20260301
CUSTOMERS = 5000
UNLINKED_CUSTOMERS = 25
CRM_ACCOUNTS = 12
CRM_CONTACTS = 8
UNLINKED_ACCOUNTS = 3
PROSPECTS = 30

Connection = psycopg.Connection[Any]


def seed_erp(
    connection: Connection, customers: int = CUSTOMERS, seed: int = SEED
) -> dict[str, int]:
    """Create and fill the ERP's tables in one transaction; rows by table.

    `customers` are spread over the linked companies; the company that is not linked
    has a few more of its own. The caller's connection is committed.
    """
    random = Random(seed)  # noqa: S311 - repeatable sample data, no secret
    markets = (*words.MARKETS, words.UNLINKED)
    terms = [(market.company, *term) for market in markets for term in words.TERMS]
    groups = [(market.company, *group) for market in markets for group in words.GROUPS]
    rows = erp_customers(random, customers)
    with connection.transaction():
        connection.execute(_script("erp.sql"))
        counts = {
            "legalentities": copy(
                connection,
                "legalentities",
                ("dataareaid", "name", "country", "accountingcurrency"),
                [(m.company, m.name, m.country, m.currency) for m in markets],
            ),
            "currencies": copy(
                connection,
                "currencies",
                ("currencycode", "name", "symbol"),
                words.CURRENCIES,
            ),
            "paymentterms": copy(
                connection,
                "paymentterms",
                (
                    *("dataareaid", "name", "description", "numberofmonths"),
                    *("numberofdays", "cutoffdayofmonth", "iscashpayment"),
                    *("iscertifiedcompanycheck", "isdefaultpaymentterm"),
                    *("creditcardpaymenttype", "creditcardcreditchecktype"),
                    "paymentmethodtype",
                ),
                terms,
            ),
            "customergroups": copy(
                connection,
                "customergroups",
                (
                    *("dataareaid", "customergroupid", "description"),
                    *("issalestaxincludedinprice", "paymenttermid"),
                    "clearingperiodpaymenttermname",
                ),
                groups,
            ),
            "customersv3": copy(
                connection,
                "customersv3",
                tuple(field.name for field in fields(Customer)),
                [astuple(row) for row in rows],
            ),
        }
    _analyze(connection)
    return counts


def erp_customers(random: Random, count: int) -> list[Customer]:
    """`count` customers of the linked companies, then those of the unlinked one.

    Some organizations are billed through an earlier one of the same company.
    """
    rows: list[Customer] = []
    payers: dict[str, list[str]] = {}
    markets = [words.MARKETS[n % len(words.MARKETS)] for n in range(count)]
    markets += [words.UNLINKED] * UNLINKED_CUSTOMERS
    for number, market in enumerate(markets, start=1):
        account = f"{market.country[:2]}-{number:06d}"
        organization = is_organization(random)
        known = payers.setdefault(market.company, [])
        billed = organization and len(known) > 5 and random.random() < 0.08
        row = make_customer(
            random,
            market,
            account,
            organization=organization,
            invoice_account=random.choice(known) if billed else None,
        )
        if organization and not billed:
            known.append(account)
        rows.append(row)
    return rows


def seed_crm(connection: Connection, seed: int = SEED) -> dict[str, int]:
    """Create and fill the CRM's tables in one transaction; rows by table.

    It begins with its companies and a few rows of its own: two currencies, a web
    shop's customer group, some customers the ERP lacks, and prospects and private
    contacts that are nobody's customers and stay here.
    """
    random = Random(seed + 1)  # noqa: S311 - repeatable sample data, no secret
    markets = (*words.MARKETS, words.UNLINKED)
    companies = {m.company: _uuid(random) for m in markets}
    currencies = {"USD": _uuid(random), "EUR": _uuid(random)}
    groups = {m.company: _uuid(random) for m in markets}
    with connection.transaction():
        connection.execute(_script("crm.sql"))
        copy(
            connection,
            "cdm_companies",
            ("cdm_companyid", "cdm_companycode", "cdm_name"),
            [(companies[m.company], m.company.upper(), m.name) for m in markets],
        )
        copy(
            connection,
            "transactioncurrencies",
            (
                *("transactioncurrencyid", "isocurrencycode", "currencyname"),
                *("currencysymbol", "exchangerate"),
            ),
            [
                (currencies[code], code, name, symbol, Decimal("1.0000000000"))
                for code, name, symbol in words.CURRENCIES
                if code in currencies
            ],
        )
        copy(
            connection,
            "msdyn_customergroups",
            (
                *("msdyn_customergroupid", "msdyn_company", "msdyn_groupid"),
                "msdyn_description",
            ),
            [
                (groups[m.company], companies[m.company], "WEB", "Web shop")
                for m in markets
            ],
        )
        copy(
            connection,
            "accounts",
            ACCOUNT_COLUMNS,
            _accounts(random, companies, currencies, groups),
        )
        copy(
            connection,
            "contacts",
            CONTACT_COLUMNS,
            _contacts(random, companies, currencies, groups),
        )
    _analyze(connection)
    tables = (
        *("cdm_companies", "transactioncurrencies", "msdyn_paymentterms"),
        *("msdyn_customergroups", "accounts", "contacts"),
    )
    return {table: count(connection, table) for table in tables}


ACCOUNT_COLUMNS = (
    *("accountid", "msdyn_company", "accountnumber", "name", "customertypecode"),
    *("creditlimit", "transactioncurrencyid", "description", "msdyn_creditrating"),
    *("msdyn_customergroupid", "msdyn_paymenttermsbasedays", "msdyn_onholdstatus"),
    *("msdyn_partycountry", "msdyn_partystateprovince", "websiteurl"),
    "numberofemployees",
)
CONTACT_COLUMNS = (
    *("contactid", "msdyn_company", "msdyn_contactpersonid", "firstname", "lastname"),
    *("msdyn_sellable", "transactioncurrencyid", "description"),
    *("msdyn_customergroupid", "msdyn_partycountry", "emailaddress1"),
)


def _accounts(
    random: Random,
    companies: dict[str, UUID],
    currencies: dict[str, UUID],
    groups: dict[str, UUID],
) -> list[tuple[Any, ...]]:
    """Customers the ERP lacks (type 3), those of the company that is not linked,
    then prospects (type 2 or none)."""
    rows: list[tuple[Any, ...]] = []
    for number in range(1, CRM_ACCOUNTS + UNLINKED_ACCOUNTS + PROSPECTS + 1):
        linked = number <= CRM_ACCOUNTS
        customer = number <= CRM_ACCOUNTS + UNLINKED_ACCOUNTS
        market = words.MARKETS[number % len(words.MARKETS)]
        if customer and not linked:
            market = words.UNLINKED
        account = f"CRM-{number:05d}" if customer else None
        made = make_customer(random, market, account or "", organization=True)
        company = customer or random.random() < 0.5
        rows.append(
            (
                _uuid(random),
                companies[market.company] if company else None,
                account,
                made.organizationname,
                3 if customer else random.choice((2, None)),
                made.creditlimit if customer else None,
                currencies[market.currency],
                made.salesmemo,
                made.creditrating,
                groups[market.company] if customer else None,
                0 if customer else None,
                806380000,
                made.partycountry,
                made.partystate,
                f"https://example.com/{number}",
                random.choice((None, 5, 40, 900)),
            )
        )
    return rows


def _contacts(
    random: Random,
    companies: dict[str, UUID],
    currencies: dict[str, UUID],
    groups: dict[str, UUID],
) -> list[tuple[Any, ...]]:
    """Persons the ERP lacks, then contacts who buy nothing."""
    rows: list[tuple[Any, ...]] = []
    for number in range(1, CRM_CONTACTS + PROSPECTS + 1):
        market = words.MARKETS[number % len(words.MARKETS)]
        customer = number <= CRM_CONTACTS
        account = f"CRP-{number:05d}" if customer else None
        made = make_customer(random, market, account or "", organization=False)
        rows.append(
            (
                _uuid(random),
                companies[market.company] if customer else None,
                account,
                made.personfirstname,
                made.personlastname,
                customer,
                currencies[market.currency] if customer else None,
                made.salesmemo,
                groups[market.company] if customer else None,
                made.partycountry,
                f"person-{number}@example.com",
            )
        )
    return rows


def copy(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> int:
    """Copy `rows` into `table`; how many there were."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    written = 0
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for row in rows:
            stream.write_row(row)
            written += 1
    return written


def count(connection: Connection, table: str) -> int:
    """Rows of `table`."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _script(name: str) -> bytes:
    return resources.files("portal.sample").joinpath(name).read_bytes()


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


def _analyze(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("ANALYZE")
