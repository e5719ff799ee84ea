"""Makes rows of the portal for tests, through the services that make them for real."""

from __future__ import annotations

from itertools import count

from portal.accounts import services as accounts
from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Environment
from portal.maps import services as maps
from portal.maps.models import Leg, MapState, TableMap
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
)
from syncengine.mapping.model import TableMap as Definition

_numbers = count(1)

UNREACHABLE = "postgresql://nobody:secret-word@127.0.0.1:1/nothing"


def make_environment(
    role: str = "finops", *, name: str = "", dsn: str = UNREACHABLE, **values: str
) -> Environment:
    """An environment; unreachable unless a connection string is given."""
    return environments.create_environment(
        name=name or f"{role}-{next(_numbers)}", role=role, dsn=dsn, **values
    )


def make_connection_set(
    *,
    name: str = "",
    finops: Environment | None = None,
    dataverse: Environment | None = None,
    legal_entities: tuple[tuple[str, str], ...] = (),
) -> ConnectionSet:
    """A link between two (new) environments."""
    return environments.create_connection_set(
        name=name or f"set-{next(_numbers)}",
        finops=finops or make_environment("finops"),
        dataverse=dataverse or make_environment("dataverse"),
        legal_entities=[LegalEntityPair(left, right) for left, right in legal_entities],
    )


def make_definition(name: str = "customers", **changes: object) -> Definition:
    """A small two-way map: customers to accounts with one value map."""
    values: dict[str, object] = {
        "name": name,
        "finops_table": "customers",
        "dataverse_table": "accounts",
        "key": (KeyPair("account", "accountnumber"),),
        "columns": (
            ColumnMap("account", "accountnumber", ColumnMapType.BOTH),
            ColumnMap("name", "name", ColumnMapType.BOTH),
            ColumnMap(
                "hold",
                "onhold",
                ColumnMapType.BOTH_TRANSFORM,
                values=(("No", "0"), ("All", "2")),
            ),
        ),
        "publisher": "contoso",
        "version": "1.0.0.0",
    }
    return Definition(**{**values, **changes})  # type: ignore[arg-type]


def make_map(
    connection_set: ConnectionSet | None = None,
    *,
    name: str = "customers",
    state: MapState = MapState.NOT_RUNNING,
    mode: str = "",
    definition: Definition | None = None,
) -> TableMap:
    """A map, put into `state` with both legs in the mode that belongs to it."""
    table_map = maps.create_map(
        connection_set or make_connection_set(), definition or make_definition(name)
    )
    if state is MapState.NOT_RUNNING:
        return table_map
    fitting = {
        MapState.INITIALIZING: "queue",
        MapState.RUNNING: "live",
        MapState.PAUSED: "queue",
        MapState.RESUMING: "drain",
    }
    for direction in Direction:
        Leg.objects.create(
            table_map=table_map,
            direction=direction.value,
            mode=mode or fitting[state],
        )
    table_map.state = state
    table_map.save(update_fields=["state"])
    return table_map


def make_user(
    *roles: Role, name: str = "", password: str = "", email: str = ""
) -> User:
    """A user with these roles."""
    return accounts.add_user(
        name or f"user-{next(_numbers)}", roles=roles, password=password, email=email
    )
