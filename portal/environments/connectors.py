"""From an environment's row to the engine's connector."""

from __future__ import annotations

from portal.environments.models import Environment
from syncengine.connectors import registry
from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.mapping.schema import CompanyRule


def company_rule(environment: Environment) -> CompanyRule | None:
    """Where the environment keeps a row's company; None when it has no companies."""
    if not environment.company_column:
        return None
    return CompanyRule(
        column=environment.company_column,
        lookup_table=environment.company_lookup_table or None,
        lookup_column=environment.company_lookup_column or None,
    )


def connection_settings(environment: Environment) -> ConnectionSettings:
    """The settings a connector is opened with."""
    return ConnectionSettings(
        name=environment.name,
        side=environment.side,
        connector=environment.connector,
        dsn=environment.dsn,
        schema=environment.schema,
        company=company_rule(environment),
    )


def connector_for(environment: Environment) -> Connector:
    """A connector for the environment; makes no connection yet."""
    return registry.connector_for(connection_settings(environment))
