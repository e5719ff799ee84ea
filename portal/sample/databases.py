"""Creates, fills and removes the sample databases on a PostgreSQL server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from portal.sample.seed import seed_crm, seed_erp

PREFIX = "sample"
SIDES = {"finops": "erp", "dataverse": "crm"}
Seeder = Callable[[psycopg.Connection[Any]], dict[str, int]]
"""Creates and fills all tables of a database, all or none; gives the rows by table."""

SEEDERS: Mapping[str, Seeder] = {"finops": seed_erp, "dataverse": seed_crm}
_LAST_TABLE = {"finops": "customersv3", "dataverse": "contacts"}
SLOT_SECONDS = 20.0


class SampleError(Exception):
    """The sample databases cannot be made; the message says what to do."""


def database_name(side: str, prefix: str = PREFIX) -> str:
    """The name of the side's database."""
    return f"{prefix}_{SIDES[side]}"


def role_name(prefix: str = PREFIX) -> str:
    """The login role the product uses: owner of the tables, no superuser."""
    return f"{prefix}_dualwrite"


def dsn_for(server: str, side: str, password: str, prefix: str = PREFIX) -> str:
    """The connection URL of the product's role to the side's database."""
    parts = conninfo_to_dict(server)
    host = quote(str(parts.get("host") or "localhost"), safe="")
    port = parts.get("port") or 5432
    secret = quote(password, safe="")
    return (
        f"postgresql://{role_name(prefix)}:{secret}@{host}:{port}"
        f"/{database_name(side, prefix)}"
    )


def create_databases(
    server: str,
    password: str,
    prefix: str = PREFIX,
    seeders: Mapping[str, Seeder] = SEEDERS,
) -> dict[str, dict[str, int]]:
    """Create role and databases that are missing and fill those that are empty.

    `server` is the connection string of a role that may create roles and databases.
    The product's role gets `password`. Returns the rows written, by side and table;
    empty for a side that had its rows already. May be called again after any crash.
    """
    made: dict[str, dict[str, int]] = {}
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=10) as admin:
            _ensure_role(admin, role_name(prefix), password)
            for side in SIDES:
                _ensure_database(admin, database_name(side, prefix), role_name(prefix))
        for side in SIDES:
            own = dsn_for(server, side, password, prefix)
            with psycopg.connect(own, autocommit=True, connect_timeout=10) as owner:
                if not _is_filled(owner, side):
                    made[side] = seeders[side](owner)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SampleError(
            "The role in DATABASE_URL may not create the sample databases: it needs "
            "CREATEDB and CREATEROLE, and must itself have REPLICATION "
            f"({_first_line(error)})."
        ) from error
    except psycopg.OperationalError as error:
        raise SampleError(
            f"The sample databases' server cannot be used: {_first_line(error)}."
        ) from error
    return made


def are_filled(server: str, password: str, prefix: str = PREFIX) -> bool:
    """Whether both databases exist, take this password and have their rows."""
    with contextlib.suppress(psycopg.OperationalError):
        for side in SIDES:
            own = dsn_for(server, side, password, prefix)
            with psycopg.connect(own, autocommit=True, connect_timeout=10) as owner:
                if not _is_filled(owner, side):
                    return False
        return True
    return False


def drop_databases(server: str, prefix: str = PREFIX) -> None:
    """Remove both databases with their replication slots and sessions, and the role."""
    with psycopg.connect(server, autocommit=True, connect_timeout=10) as admin:
        for side in SIDES:
            name = database_name(side, prefix)
            _drop_slots(admin, name)
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(name)
                )
            )
        admin.execute(
            sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role_name(prefix)))
        )


def maintenance_dsn(database_url: str) -> str:
    """The server's connection string without the portal's own database."""
    return make_conninfo(database_url, dbname="postgres")


def _ensure_role(admin: psycopg.Connection[Any], role: str, password: str) -> None:
    known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    verb = "ALTER" if known.fetchone() else "CREATE"
    admin.execute(
        sql.SQL("{} ROLE {} LOGIN REPLICATION PASSWORD {}").format(
            sql.SQL(verb), sql.Identifier(role), sql.Literal(password)
        )
    )
    # Only a member of the role may hand a database over to it.
    admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _ensure_database(admin: psycopg.Connection[Any], name: str, owner: str) -> None:
    known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    if known.fetchone() is None:
        admin.execute(
            sql.SQL(
                "CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0"
            ).format(sql.Identifier(name), sql.Identifier(owner))
        )


def _is_filled(owner: psycopg.Connection[Any], side: str) -> bool:
    row = owner.execute(
        "SELECT to_regclass(%s) IS NOT NULL", [f"public.{_LAST_TABLE[side]}"]
    ).fetchone()
    return row == (True,)


def _drop_slots(admin: psycopg.Connection[Any], database: str) -> None:
    deadline = time.monotonic() + SLOT_SECONDS
    while True:
        admin.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE database = %s AND active_pid IS NOT NULL",
            [database],
        )
        try:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name)"
                " FROM pg_replication_slots WHERE database = %s",
                [database],
            )
        except psycopg.errors.ObjectInUse as error:
            if time.monotonic() > deadline:
                raise SampleError(
                    f"A replication slot of {database} stays in use; stop the "
                    "workers and try again."
                ) from error
            time.sleep(0.05)
        else:
            return


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
