"""What comes before a run: read the tables and install capture.

Nothing here may run inside a transaction of the portal's database: creating a
replication slot waits for every open transaction of the server, and the portal may
share the server with an environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import connection

from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet, Environment
from portal.maps.conversion import all_to_engine, to_engine
from portal.maps.models import MapState, TableMap
from portal.refusals import ActionForbidden, Refusal
from syncengine.errors import EngineError
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.schema import EnvironmentSchema

INSTALL_LOCK_CLASS = 0x6478
"""First half of an advisory lock's key; the second is the connection set's id."""

Schemas = Mapping[Side, EnvironmentSchema]


@contextmanager
def naming(environment_name: str) -> Iterator[None]:
    """Turn what a connector raises into a refusal that names the environment."""
    try:
        yield
    except EngineError as error:
        script = error.details.get("script")
        message = error.message
        if environment_name not in message:
            message = f"{environment_name}: {message}"
        raise Refusal(
            message,
            code=error.code,
            script=str(script or ""),
            retryable=error.retryable,
        ) from error


def maps_of(connection_set: ConnectionSet) -> list[TableMap]:
    """All maps of the set that have a version, converted at once: `definition` asks
    nothing more of the database."""
    maps = list(
        TableMap.objects.filter(
            connection_set=connection_set, version__isnull=False
        ).select_related("version__table_map", "connection_set")
    )
    all_to_engine([one.version for one in maps if one.version is not None])
    return maps


def definition(table_map: TableMap) -> Definition:
    """The map's current version; refuses a map that has none."""
    if table_map.version is None:
        raise Refusal(f"{table_map.name} has no version yet.", code="no_version")
    return to_engine(table_map.version)


def read_schemas(
    connection_set: ConnectionSet, definitions: Sequence[Definition]
) -> dict[Side, EnvironmentSchema]:
    """What both systems say of the tables of these maps."""
    schemas: dict[Side, EnvironmentSchema] = {}
    for side in Side:
        names = {table_map.table(side) for table_map in definitions}
        for table_map in definitions:
            names |= lookup_tables(table_map, side)
        environment = connection_set.environment(side)
        if environment.company_lookup_table:
            names.add(environment.company_lookup_table)
        with naming(environment.name):
            schemas[side] = connector_for(environment).tables(sorted(names))
    return schemas


def capture_tables(definitions: Sequence[Definition], side: Side) -> list[str]:
    """Tables on `side` whose changes some map carries to the other side."""
    direction = Direction.from_source(side)
    return sorted(
        {
            table_map.table(side)
            for table_map in definitions
            if table_map.flows(direction)
        }
    )


def prepare_capture(
    connection_set: ConnectionSet,
    maps: Sequence[TableMap],
    sides: Sequence[Side] = tuple(Side),
) -> None:
    """Make sure both systems (or those of `sides`) report changes of the maps' tables,
    and of those of the maps that run already. Does nothing that is done already."""
    if connection.in_atomic_block:
        raise RuntimeError(
            "prepare_capture must not run inside a transaction: creating a "
            "replication slot would wait for it."
        )
    chosen = {table_map.pk for table_map in maps}
    with one_at_a_time(connection_set):
        refuse_retired(connection_set.pk)
        definitions = [
            definition(table_map)
            for table_map in maps_of(connection_set)
            if table_map.pk in chosen or table_map.state != MapState.NOT_RUNNING
        ]
        for side in sides:
            environment = connection_set.environment(side)
            with naming(environment.name):
                connector = connector_for(environment)
                connector.install(
                    connection_set.link_id, capture_tables(definitions, side)
                )
                if not environment.fingerprint:
                    _remember(environment, connector.describe().fingerprint)


def _remember(environment: Environment, fingerprint: str) -> None:
    """From now on a copy is told from the database that was linked."""
    environment.fingerprint = fingerprint
    Environment.objects.filter(pk=environment.pk, fingerprint="").update(
        fingerprint=fingerprint
    )


def refuse_retired(connection_set_id: int) -> None:
    """Refuse to begin anything in a connection set that is being unlinked or gone."""
    usable = ConnectionSet.objects.filter(pk=connection_set_id, retired_at=None)
    if not usable.exists():
        raise ActionForbidden(
            "The connection set is being unlinked: nothing can start in it.",
            code="being_unlinked",
        )


@contextmanager
def one_at_a_time(connection_set: ConnectionSet) -> Iterator[None]:
    """Two runs at once must not install at once, nor while a set is unlinked. A
    session lock: it holds no transaction open."""
    key = [INSTALL_LOCK_CLASS, connection_set.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
