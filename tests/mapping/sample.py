"""A small finance and a small Dataverse environment for mapping tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    CompanyRule,
    EnvironmentSchema,
    ForeignKey,
    TableSchema,
    TypeFamily,
    UniqueKey,
)

FORWARD = Direction.FINOPS_TO_DATAVERSE
BACKWARD = Direction.DATAVERSE_TO_FINOPS
LINKED = (LegalEntityPair("usmf", "USMF"), LegalEntityPair("dat", "DAT"))

INTEGER = ColumnType(TypeFamily.INTEGER, "integer", bits=32)
SMALLINT = ColumnType(TypeFamily.INTEGER, "smallint", bits=16)
BIGINT = ColumnType(TypeFamily.INTEGER, "bigint", bits=64)
DOUBLE = ColumnType(TypeFamily.FLOAT, "double precision", bits=64)
REAL = ColumnType(TypeFamily.FLOAT, "real", bits=32)
BOOLEAN = ColumnType(TypeFamily.BOOLEAN, "boolean")
DATE = ColumnType(TypeFamily.DATE, "date")
TIMESTAMP = ColumnType(TypeFamily.TIMESTAMP, "timestamp without time zone")
TIMESTAMPTZ = ColumnType(TypeFamily.TIMESTAMPTZ, "timestamp with time zone")
TIME = ColumnType(TypeFamily.TIME, "time without time zone")
UUID = ColumnType(TypeFamily.UUID, "uuid")
BINARY = ColumnType(TypeFamily.BINARY, "bytea")
JSON = ColumnType(TypeFamily.JSON, "jsonb")
NUMERIC = ColumnType(TypeFamily.DECIMAL, "numeric")


def text(length: int | None = None) -> ColumnType:
    name = f"character varying({length})" if length else "text"
    return ColumnType(TypeFamily.TEXT, name, max_length=length)


def char(length: int) -> ColumnType:
    return ColumnType(TypeFamily.TEXT, f"character({length})", max_length=length)


def numeric(precision: int, scale: int = 0) -> ColumnType:
    name = f"numeric({precision},{scale})"
    return ColumnType(TypeFamily.DECIMAL, name, precision=precision, scale=scale)


def enum(*labels: str) -> ColumnType:
    return ColumnType(TypeFamily.ENUM, "partytype", labels=labels)


def table(
    name: str,
    columns: dict[str, ColumnType],
    *,
    required: tuple[str, ...] = (),
    unique: tuple[tuple[str, ...], ...] = (),
    primary: tuple[str, ...] = (),
    references: dict[str, tuple[str, str]] | None = None,
    read_only: tuple[str, ...] = (),
    has_default: tuple[str, ...] = (),
) -> TableSchema:
    return TableSchema(
        name,
        tuple(
            Column(
                column,
                type_,
                nullable=column not in required and column not in primary,
                has_default=column in has_default,
                writable=column not in read_only,
            )
            for column, type_ in columns.items()
        ),
        (
            *([UniqueKey(f"{name}_pk", primary, primary=True)] if primary else []),
            *(UniqueKey(f"{name}_{i}", key) for i, key in enumerate(unique)),
        ),
        tuple(
            ForeignKey(f"{name}_{column}_fk", (column,), target, (reference,))
            for column, (target, reference) in (references or {}).items()
        ),
    )


def environment(name: str, company: CompanyRule | None, *tables: TableSchema) -> Any:
    return EnvironmentSchema(name, {t.name: t for t in tables}, company)


CUSTOMERS = table(
    "customersv3",
    {
        "dataareaid": text(4),
        "customeraccount": text(20),
        "organizationname": text(100),
        "customergroupid": text(10),
        "partytype": enum("Organization", "Person"),
        "onholdstatus": text(20),
        "creditlimit": numeric(32, 6),
        "isonetime": text(3),
        "salesmemo": text(),
        "birthdate": DATE,
        "modified": TIMESTAMP,
        "visits": INTEGER,
    },
    primary=("dataareaid", "customeraccount"),
    required=("partytype",),
    has_default=("partytype",),
)
GROUPS = table(
    "customergroups",
    {"dataareaid": text(4), "customergroupid": text(10), "description": text(60)},
    primary=("dataareaid", "customergroupid"),
)
CURRENCIES = table(
    "currencies", {"currencycode": text(3), "name": text(60)}, primary=("currencycode",)
)
ACCOUNTS = table(
    "accounts",
    {
        "accountid": UUID,
        "msdyn_company": UUID,
        "accountnumber": text(20),
        "name": text(160),
        "msdyn_customergroupid": UUID,
        "customertypecode": INTEGER,
        "msdyn_onholdstatus": INTEGER,
        "creditlimit": numeric(19, 4),
        "msdyn_onetimecustomer": BOOLEAN,
        "description": text(2000),
        "birthdate": TIMESTAMPTZ,
        "modified": TIMESTAMPTZ,
        "visits": text(10),
        "versionnumber": BIGINT,
    },
    primary=("accountid",),
    required=("msdyn_company", "accountnumber"),
    unique=(("msdyn_company", "accountnumber"),),
    references={
        "msdyn_company": ("cdm_companies", "cdm_companyid"),
        "msdyn_customergroupid": ("msdyn_customergroups", "msdyn_customergroupid"),
    },
    has_default=("accountid", "versionnumber"),
    read_only=("versionnumber",),
)
DATAVERSE_GROUPS = table(
    "msdyn_customergroups",
    {
        "msdyn_customergroupid": UUID,
        "msdyn_company": UUID,
        "msdyn_groupid": text(10),
        "msdyn_description": text(60),
    },
    primary=("msdyn_customergroupid",),
    required=("msdyn_company", "msdyn_groupid"),
    unique=(("msdyn_company", "msdyn_groupid"),),
    references={"msdyn_company": ("cdm_companies", "cdm_companyid")},
    has_default=("msdyn_customergroupid",),
)
COMPANIES = table(
    "cdm_companies",
    {"cdm_companyid": UUID, "cdm_companycode": text(4)},
    primary=("cdm_companyid",),
    required=("cdm_companycode",),
    unique=(("cdm_companycode",),),
)
TRANSACTION_CURRENCIES = table(
    "transactioncurrencies",
    {"transactioncurrencyid": UUID, "isocurrencycode": text(3), "name": text(60)},
    primary=("transactioncurrencyid",),
    required=("isocurrencycode",),
    unique=(("isocurrencycode",),),
    has_default=("transactioncurrencyid",),
)

FINOPS = environment("erp", CompanyRule("dataareaid"), CUSTOMERS, GROUPS, CURRENCIES)
DATAVERSE = environment(
    "crm",
    CompanyRule("msdyn_company", "cdm_companies", "cdm_companycode"),
    ACCOUNTS,
    DATAVERSE_GROUPS,
    COMPANIES,
    TRANSACTION_CURRENCIES,
)


def line(
    finops: str | None,
    symbol: str,
    dataverse: str | None,
    default: str | None = None,
    values: dict[str, str] | None = None,
) -> ColumnMap:
    pairs = tuple(values.items()) if values is not None else None
    return ColumnMap(finops, dataverse, ColumnMapType(symbol), default, pairs)


KEY_LINE = line("customeraccount", "=", "accountnumber")
CUSTOMERS_MAP = TableMap(
    "customers",
    "customersv3",
    "accounts",
    (
        KEY_LINE,
        line("organizationname", "=", "name"),
        line("customergroupid", "=", "msdyn_customergroupid.msdyn_groupid"),
        line(
            "onholdstatus",
            "><",
            "msdyn_onholdstatus",
            values={"No": "0", "Invoice": "1", "All": "2"},
        ),
        line(
            "isonetime",
            "><",
            "msdyn_onetimecustomer",
            values={"no": "False", "yes": "True"},
        ),
        line("creditlimit", "=", "creditlimit"),
        line("salesmemo", "=", "description"),
        line("birthdate", "=", "birthdate"),
        line("modified", "=", "modified"),
        line("visits", "=", "visits"),
        line(None, ">>", "customertypecode", default="3"),
        line("partytype", "<<", None, default="Organization"),
    ),
    (KeyPair("customeraccount", "accountnumber"),),
    finops_filter='(partytype == "Organization")',
    dataverse_filter="customertypecode eq 3",
)


def accounts_map(*lines: ColumnMap, **changes: Any) -> TableMap:
    """The customers map with only the key line and `lines`."""
    return replace(
        CUSTOMERS_MAP,
        columns=(KEY_LINE, *lines),
        **{"finops_filter": "", "dataverse_filter": "", **changes},
    )


def environments(direction: Direction) -> tuple[EnvironmentSchema, EnvironmentSchema]:
    """Source and target environment of a direction."""
    pair = (FINOPS, DATAVERSE)
    return pair if direction.source is Side.FINOPS else (pair[1], pair[0])
