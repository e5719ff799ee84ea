"""Which connection sets have something of ours in an environment."""

from __future__ import annotations

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.names import publication_name, row_name, slot_name

# Slots belong to the server; those of other databases are no business of ours.
_NAMED = """
SELECT slot_name FROM pg_replication_slots
WHERE database = current_database() AND left(slot_name, %(left)s) = %(prefix)s
UNION
SELECT pubname FROM pg_publication WHERE left(pubname, %(left)s) = %(prefix)s
"""
_READABLE = """
SELECT coalesce(bool_and(has_table_privilege(c.oid, 'SELECT')), false)
       AND has_schema_privilege(n.oid, 'USAGE')
FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
WHERE n.nspname = 'dualwrite' AND c.relname IN ('position', 'installed')
GROUP BY n.oid HAVING count(*) = 2
"""
_ROWS = "SELECT link FROM dualwrite.position UNION SELECT link FROM dualwrite.installed"


def links(
    connection: PostgresConnection, settings: ConnectionSettings
) -> frozenset[str]:
    """Links with a slot, a publication or a row of ours for this side; rows that our
    account may not read stay unseen."""
    found: set[str] = set()
    for make in (slot_name, publication_name):
        prefix, suffix = make("/", settings.side).split("/")
        for (name,) in connection.execute(
            _NAMED, {"prefix": prefix, "left": len(prefix)}
        ):
            if name.endswith(suffix):
                found.add(name[len(prefix) : -len(suffix)])
    readable = connection.execute(_READABLE).fetchone()
    if readable is not None and readable[0] == "t":
        suffix = row_name("", settings.side)
        for (name,) in connection.execute(_ROWS):
            if name.endswith(suffix):
                found.add(name.removesuffix(suffix))
    return frozenset(found)
