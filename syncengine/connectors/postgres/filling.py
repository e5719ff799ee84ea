"""Giving records a company that have none, before a system is linked."""

from __future__ import annotations

from psycopg import sql

from syncengine.connectors.base import ConnectionSettings, ReadRequest
from syncengine.connectors.postgres.catalog import read_schema
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.selection import Selection
from syncengine.errors import SetupError
from syncengine.mapping.schema import CompanyRule


def fill_company(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    request: ReadRequest,
    rule: CompanyRule,
    code: str,
    limit: int,
) -> int:
    """Promises of `Connector.fill_company`."""
    needed = [request.table, *([rule.lookup_table] if rule.lookup_table else [])]
    tables = read_schema(connection, settings.schema, needed)
    selection = Selection(request, settings.schema, tables)
    found = selection.query(
        sql.SQL("t.ctid"),
        sql.SQL("{} IS NULL").format(selection.column(rule.column)),
        tail=sql.SQL("LIMIT {} FOR UPDATE OF t SKIP LOCKED").format(sql.Literal(limit)),
    )
    column = selection.table.column(rule.column)
    assert column is not None  # noqa: S101 - selected above
    update = sql.SQL("UPDATE {} SET {} = {} WHERE ctid = ANY(ARRAY({}))").format(
        sql.Identifier(settings.schema, selection.table.name),
        sql.Identifier(column.name),
        sql.Literal(_value(connection, settings, selection, rule, code)),
        found,
    )
    return connection.execute(update).rowcount


def _value(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    selection: Selection,
    rule: CompanyRule,
    code: str,
) -> str:
    """What the column holds for the company: its code, or what refers to it."""
    if not rule.lookup_table or not rule.lookup_column:
        return code
    query = sql.SQL("SELECT {}::text FROM {} WHERE {}::text = {}").format(
        sql.Identifier(selection.reference(rule.column, rule.lookup_table)),
        sql.Identifier(settings.schema, rule.lookup_table),
        sql.Identifier(rule.lookup_column),
        sql.Literal(code),
    )
    row = connection.execute(query).fetchone()
    if row is None:
        raise SetupError(
            f"{rule.lookup_table} of {settings.name} has no company {code}.",
            code="company_missing",
            details={"company": code},
        )
    return str(row[0])
