"""Finding out how a system keeps its companies, and which companies it has."""

from __future__ import annotations

from collections import Counter

from portal.environments.connectors import connector_for
from portal.environments.models import Environment
from portal.maps.health import list_companies
from syncengine.connectors.base import Connector, ReadRequest
from syncengine.errors import EngineError
from syncengine.mapping.model import Side
from syncengine.mapping.schema import (
    CompanyRule,
    EnvironmentSchema,
    TableSchema,
)

FINOPS_COLUMN = "dataareaid"
LISTS = ("cdm_companies", "cdm_company")
LIST_COLUMN = "cdm_companycode"
LOOKED_AT = 12
"""Tables whose records are looked at where a system has no list of companies."""
SAMPLE_ROWS = 2000


def detect_rule(side: Side, schema: EnvironmentSchema) -> CompanyRule | None:
    """How the records of a system say which company they belong to, by the names that
    these systems have; None where none of them is there."""
    if side is Side.FINOPS:
        for table in schema.tables.values():
            column = table.column(FINOPS_COLUMN)
            if column is not None:
                return CompanyRule(column.name)
        return None
    for name in LISTS:
        listing = schema.table(name)
        code = listing.column(LIST_COLUMN) if listing else None
        if listing and code:
            return _by_reference(schema, listing, code.name)
    return None


def _by_reference(
    schema: EnvironmentSchema, listing: TableSchema, code: str
) -> CompanyRule | None:
    """The columns that lead to the list of companies, the most frequent first."""
    columns = Counter(
        key.columns[0]
        for table in schema.tables.values()
        for key in table.foreign_keys
        if key.table == listing.name
        and len(key.columns) == 1
        and table.name != listing.name
    )
    if not columns:
        return None
    (column, _), *others = sorted(columns.items(), key=lambda item: (-item[1], item[0]))
    return CompanyRule(
        column, listing.name, code, tuple(sorted(name for name, _ in others))
    )


def use_rule(environment: Environment, rule: CompanyRule | None) -> None:
    """Write a rule into the fields of an environment that is not stored yet."""
    environment.company_column = rule.column if rule else ""
    environment.company_lookup_table = (rule.lookup_table if rule else "") or ""
    environment.company_lookup_column = (rule.lookup_column if rule else "") or ""
    environment.company_also = ", ".join(rule.also) if rule else ""


def companies_of(environment: Environment) -> list[str]:
    """The codes of all companies of a system, from its list of them or, where it has
    none, as far as they are found in its records. Raises EngineError."""
    connector = connector_for(environment)
    schema = connector.tables()
    listed = list_companies(connector, schema)
    codes = _from_records(connector, schema) if listed is None else set(listed)
    return sorted(code for code in codes if code.strip())


def _from_records(connector: Connector, schema: EnvironmentSchema) -> set[str]:
    found: set[str] = set()
    looked_at = 0
    with connector.reader() as reader:
        for table in schema.tables.values():
            rule = schema.company_of(table)
            if rule is None or rule.lookup_table or table.unfit:
                continue
            if looked_at == LOOKED_AT:
                break
            looked_at += 1
            try:
                rows = reader.sample(
                    ReadRequest(table.name, (rule.column,)), SAMPLE_ROWS
                )
            except EngineError:
                continue
            found |= {value.rstrip(" ") for (value,) in rows if value}
    return found
