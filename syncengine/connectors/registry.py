"""Which connector speaks to which product."""

from __future__ import annotations

from syncengine.connectors.base import ConnectionSettings, Connector, ConnectorFactory
from syncengine.connectors.postgres.connector import PostgresConnector
from syncengine.errors import SetupError

_FACTORIES: dict[str, ConnectorFactory] = {"postgres": PostgresConnector}

CONNECTORS = tuple(sorted(_FACTORIES))
"""Names of the known connectors."""


def connector_for(settings: ConnectionSettings) -> Connector:
    """The connector of an environment; opens no connection."""
    factory = _FACTORIES.get(settings.connector)
    if factory is None:
        raise SetupError(
            f"Connector {settings.connector} of {settings.name} is not known; "
            f"known are: {', '.join(CONNECTORS)}.",
            code="connector_unknown",
        )
    return factory(settings)
