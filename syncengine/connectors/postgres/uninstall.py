"""Takes away what `install` made, so that the database is as it was before."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import psycopg
from psycopg import sql

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.gate import removal_note, remove_name
from syncengine.connectors.postgres.install import LOCK_TIMEOUT, ONE_AT_A_TIME
from syncengine.connectors.postgres.names import (
    OWN_SCHEMA,
    publication_name,
    row_name,
    slot_name,
)
from syncengine.errors import OutageError, SetupError

# Rows whose table is gone, has its former identity back, or is still captured by
# another connection set need no statement.
_RESTORE = """
SELECT i.table_name, i.former_identity, i.former_index,
       coalesce(pg_has_role(c.relowner, 'USAGE'), false)
FROM dualwrite.installed i
JOIN pg_class c ON c.oid = to_regclass(i.table_name)
WHERE i.link = %(row)s AND c.relreplident <> i.former_identity
  AND NOT EXISTS (SELECT FROM dualwrite.installed o
                  WHERE o.table_name = i.table_name AND o.link <> i.link)
ORDER BY i.table_name
"""

_FORGET = """
DELETE FROM dualwrite.installed i WHERE i.link = %(row)s AND NOT EXISTS (
    SELECT FROM pg_class c
    WHERE c.oid = to_regclass(i.table_name) AND c.relreplident <> i.former_identity
      AND NOT EXISTS (SELECT FROM dualwrite.installed o
                      WHERE o.table_name = i.table_name AND o.link <> i.link))
"""

_UNUSED = """
SELECT pg_has_role(n.nspowner, 'USAGE')
FROM pg_namespace n WHERE n.nspname = %s
  AND NOT EXISTS (SELECT FROM dualwrite.installed)
  AND NOT EXISTS (SELECT FROM dualwrite.position)
  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid
                  AND c.relkind <> 'i' AND c.relname NOT IN ('position', 'installed'))
"""


# Statements that `uninstall` runs, for where our account cannot come. Each may find
# nothing to do: the script can run again.
_SCRIPT = """\
SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
WHERE slot_name = {slot} AND database = current_database() AND active_pid IS NOT NULL;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = {slot} AND database = current_database();
DROP PUBLICATION IF EXISTS {publication};
DO $dualwrite$
DECLARE
    captured record;
BEGIN
    IF to_regclass('dualwrite.installed') IS NULL
       OR to_regclass('dualwrite.position') IS NULL THEN
        RETURN;
    END IF;
    FOR captured IN
        {restore}
    LOOP
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY %s', captured.table_name,
                       CASE captured.former_identity
                       WHEN 'i' THEN 'USING INDEX ' || captured.former_index
                       WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'
                       ELSE 'DEFAULT' END);
    END LOOP;
    DELETE FROM dualwrite.installed WHERE link = {row};
    DELETE FROM dualwrite.position WHERE link = {row};
    IF NOT EXISTS (SELECT FROM dualwrite.installed)
       AND NOT EXISTS (SELECT FROM dualwrite.position) THEN
        DROP TABLE dualwrite.position, dualwrite.installed;
        DROP SCHEMA dualwrite;
    END IF;
END
$dualwrite$;
"""


def removal_script(settings: ConnectionSettings, link: str) -> str:
    """What an administrator of the database runs to do what `uninstall` does."""
    row = sql.Literal(row_name(link, settings.side)).as_string()
    restore = "\n        ".join(_RESTORE.replace("%(row)s", row).strip().splitlines())
    slot = slot_name(link, settings.side)
    publication = publication_name(link, settings.side)
    return removal_note(slot) + _SCRIPT.format(
        slot=sql.Literal(slot).as_string(),
        publication=sql.Identifier(publication).as_string(),
        restore=restore,
        row=row,
    )


def uninstall(
    connection: PostgresConnection, settings: ConnectionSettings, link: str
) -> None:
    """Take away everything `install` made for `link`; `connection` is in autocommit.

    What our account may not undo is left, and SetupError `rights_missing` carries
    the script for it; run it, then uninstall again.
    """
    slot = slot_name(link, settings.side)
    if not _elsewhere(connection, slot):
        # First of all: once the slot is gone, nobody would let waiting commits go.
        remove_name(connection, settings.name, slot)
        drop_slot(connection, slot)
    with connection.transaction():
        connection.execute(LOCK_TIMEOUT)
        connection.execute(ONE_AT_A_TIME)
        left = _drop_publication(connection, publication_name(link, settings.side))
        left += _restore(connection, row_name(link, settings.side))
    if left:
        raise SetupError(
            f"The account of {settings.name} may not undo all of the installation: "
            "let a database administrator run the script, then uninstall again.",
            code="rights_missing",
            details={"script": "".join(f"{line};\n" for line in left)},
        )


def _elsewhere(connection: PostgresConnection, slot: str) -> bool:
    """Whether the slot belongs to another database of the server: this one is a copy
    of that, which goes on."""
    row = connection.execute(
        "SELECT database <> current_database() FROM pg_replication_slots"
        " WHERE slot_name = %s",
        (slot,),
    ).fetchone()
    return row is not None and row[0] == "t"


def drop_slot(connection: PostgresConnection, name: str) -> None:
    """Drop a replication slot, ending the session that reads it; none: nothing."""

    def drop() -> bool:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
            "WHERE slot_name = %s AND active_pid IS NOT NULL",
            (name,),
        )
        try:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) "
                "FROM pg_replication_slots WHERE slot_name = %s",
                (name,),
            )
        except psycopg.errors.ObjectInUse:
            return False
        except psycopg.errors.UndefinedObject:
            return True
        return True

    if not _until(drop, seconds=20):
        raise OutageError(
            f"Replication slot {name} is in use by another session.",
            code="slot_in_use",
        )


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = monotonic() + seconds
    while not done():
        if monotonic() > deadline:
            return False
    return True


def _drop_publication(connection: PostgresConnection, name: str) -> list[str]:
    row = connection.execute(
        "SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = %s",
        (name,),
    ).fetchone()
    if row is None:
        return []
    statement = sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(name))
    if row[0] != "t":
        return [statement.as_string(connection)]
    connection.execute(statement)
    return []


def _restore(connection: PostgresConnection, row: str) -> list[str]:
    own = connection.execute(
        "SELECT to_regclass('dualwrite.installed'), to_regclass('dualwrite.position')"
    ).fetchone()
    if own is None or None in own:
        return []
    left = []
    found = connection.execute(_RESTORE, {"row": row}).fetchall()
    for table, identity, index, owned in found:
        statement = f"ALTER TABLE {table} REPLICA IDENTITY {_identity(identity, index)}"
        if owned == "t":
            connection.execute(statement.encode())
        else:
            left.append(statement)
    connection.execute(_FORGET, {"row": row})
    connection.execute("DELETE FROM dualwrite.position WHERE link = %s", (row,))
    unused = connection.execute(_UNUSED, (OWN_SCHEMA,)).fetchone()
    if unused is not None and unused[0] == "t":
        connection.execute("DROP TABLE dualwrite.position, dualwrite.installed")
        connection.execute("DROP SCHEMA dualwrite")
    return left


def _identity(kind: str, index: str | None) -> str:
    if kind == "i" and index is not None:
        return f"USING INDEX {index}"
    return {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}.get(kind, "DEFAULT")
