"""From an environment's row to the engine's connector."""

from __future__ import annotations

import time

from portal.environments.models import ConnectionSet, Environment
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
        also=tuple(
            name
            for part in environment.company_also.split(",")
            if (name := part.strip())
        ),
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
        local_commits=environment.local_commits,
    )


def connector_for(environment: Environment) -> Connector:
    """A connector for the environment; makes no connection yet."""
    return registry.connector_for(connection_settings(environment))


class SettingsWatch:
    """Notices that an administrator changed how a side of a connection set is
    reached, or retired the set; whoever holds connectors made before must then make
    new ones, or none."""

    EVERY_SECONDS = 1.0

    def __init__(self, connection_set: ConnectionSet) -> None:
        self._set_id = connection_set.pk
        self._known = _both(connection_set)
        self._read_at = float("-inf")
        self._changed = False

    def changed(self) -> bool:
        """Ask the database, at most every second; once true, it stays so."""
        now = time.monotonic()
        if not self._changed and now - self._read_at >= self.EVERY_SECONDS:
            self._read_at = now
            present = (
                ConnectionSet.objects.select_related("finops", "dataverse")
                .filter(pk=self._set_id, retired_at=None)
                .first()
            )
            self._changed = present is None or _both(present) != self._known
        return self._changed


def _both(connection_set: ConnectionSet) -> list[ConnectionSettings]:
    return [
        connection_settings(environment)
        for environment in (connection_set.finops, connection_set.dataverse)
    ]
