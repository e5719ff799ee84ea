"""What the server, our account and the tables are like: the ground of install and
check, in a handful of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.names import (
    OWN_SCHEMA,
    publication_name,
    row_name,
    slot_name,
)

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server and our account on it."""

    version: int
    wal_level: str
    slots_left: int
    senders_left: int
    commit_timestamps: bool
    role: str
    superuser: bool
    replication: bool
    database: str
    may_create_schema: bool
    schema_usage: bool


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """Our own objects: the schema, its tables, the publication and the slot.
    `usable` when our account may use the tables that exist; `generated` when the
    publication has what servers from 18 on need for generated columns."""

    schema: bool
    schema_writable: bool
    position: bool
    installed: bool
    usable: bool
    publication: bool
    publication_owned: bool
    all_tables: bool
    generated: bool
    slot: bool
    slot_lost: bool


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that holds rows: an ordinary one, or one partition. `identity` is
    `pg_class.relreplident`; `virtual` when columns are computed as they are read,
    which keeps the server from reporting whole rows."""

    name: str
    identity: str
    index: str | None
    owned: bool
    virtual: bool

    @property
    def partial(self) -> bool:
        """True when changes could come with the row before them, and do not."""
        return self.identity != "f" and not self.virtual


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table to capture. `rights` are those of `RIGHTS` that our account has;
    `sequences` lists those an insert needs and we may not use."""

    given: str
    name: str
    owned: bool
    published: bool
    unique: bool
    rights: frozenset[str]
    row_security: bool
    sequences: tuple[str, ...]
    stored: tuple[StoredTable, ...]


@dataclass(frozen=True)
class Facts:
    """Everything install and check look at. `referred` are tables that foreign keys
    of the captured ones lead to and that we may not read."""

    settings: ConnectionSettings
    link: str
    server: ServerFacts
    own: OwnFacts
    tables: tuple[TableFacts, ...]
    missing: tuple[str, ...]
    referred: tuple[str, ...]
    remembered: frozenset[str] = field(default=frozenset())

    @property
    def slot(self) -> str:
        """Name of our slot."""
        return slot_name(self.link, self.settings.side)

    @property
    def publication(self) -> str:
        """Name of our publication."""
        return publication_name(self.link, self.settings.side)

    @property
    def row(self) -> str:
        """What our rows are filed under."""
        return row_name(self.link, self.settings.side)


_SERVER = """
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('wal_level'),
       current_setting('max_replication_slots')::int
           - (SELECT count(*) FROM pg_replication_slots),
       current_setting('max_wal_senders')::int
           - (SELECT count(*) FROM pg_stat_get_wal_senders()),
       current_setting('track_commit_timestamp'),
       r.rolname, r.rolsuper, r.rolreplication OR r.rolsuper, current_database(),
       has_database_privilege(current_database(), 'CREATE'),
       coalesce((SELECT has_schema_privilege(n.oid, 'USAGE')
                 FROM pg_namespace n WHERE n.nspname = %s), true)
FROM pg_roles r WHERE r.rolname = current_user
"""

_OWN = """
SELECT n.oid IS NOT NULL,
       coalesce(has_schema_privilege(n.oid, 'USAGE')
                AND has_schema_privilege(n.oid, 'CREATE'), false),
       EXISTS (SELECT FROM pg_class c
               WHERE c.relnamespace = n.oid AND c.relname = 'position'),
       EXISTS (SELECT FROM pg_class c
               WHERE c.relnamespace = n.oid AND c.relname = 'installed'),
       coalesce(has_schema_privilege(n.oid, 'USAGE'), true) AND NOT EXISTS (
           SELECT FROM pg_class c, unnest(%(rights)s::text[]) w
           WHERE c.relnamespace = n.oid AND c.relname IN ('position', 'installed')
             AND c.relkind = 'r' AND NOT has_table_privilege(c.oid, w)),
       p.oid IS NOT NULL,
       coalesce(pg_has_role(p.pubowner, 'USAGE'), false),
       coalesce(p.puballtables, false),
       coalesce(to_jsonb(p) ->> 'pubgencols' <> 'n', true),
       s.slot_name IS NOT NULL,
       coalesce(s.wal_status = 'lost', false)
FROM (SELECT) AS one
LEFT JOIN pg_namespace n ON n.nspname = %(schema)s
LEFT JOIN pg_publication p ON p.pubname = %(publication)s
LEFT JOIN pg_replication_slots s ON s.slot_name = %(slot)s
"""

_TABLES = """
SELECT c.oid, g.name, format('%%I.%%I', n.nspname, c.relname),
       pg_has_role(c.relowner, 'USAGE'),
       EXISTS (SELECT FROM pg_publication p
               LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid
                    AND r.prrelid = c.oid
               WHERE p.pubname = %(publication)s
                 AND (p.puballtables OR r.oid IS NOT NULL)),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
               AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL),
       ARRAY_TO_STRING(ARRAY(
           SELECT w FROM unnest(%(rights)s::text[]) w
           WHERE has_table_privilege(c.oid, w)), ' '),
       row_security_active(c.oid)
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS g(name, position)
CROSS JOIN LATERAL (
    SELECT * FROM pg_class c WHERE lower(c.relname) = lower(g.name)
      AND c.relkind IN ('r', 'p')
      AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
    ORDER BY c.relname = g.name DESC LIMIT 1) c
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY g.position
"""

_STORED = """
SELECT root.oid, format('%%I.%%I', n.nspname, c.relname), c.relreplident,
       (SELECT format('%%I', x.relname) FROM pg_index i
        JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisreplident LIMIT 1),
       pg_has_role(c.relowner, 'USAGE'),
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
               AND NOT a.attisdropped AND a.attgenerated = 'v')
FROM unnest(%(oids)s::oid[]) AS root(oid)
CROSS JOIN LATERAL (
    SELECT root.oid AS leaf UNION
    SELECT p.relid FROM pg_partition_tree(root.oid) p WHERE p.isleaf) AS part
JOIN pg_class c ON c.oid = part.leaf JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
ORDER BY n.nspname, c.relname
"""

_SEQUENCES = """
SELECT d.refobjid, format('%%I.%%I', n.nspname, s.relname)
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = ANY (%(oids)s::oid[]) AND a.attidentity = ''
  AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END
"""

_REFERRED = """
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname)
FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conrelid = ANY (%(oids)s::oid[])
  AND NOT f.confrelid = ANY (%(oids)s::oid[])
  AND NOT has_table_privilege(c.oid, 'SELECT')
ORDER BY 1
"""


def gather(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    tables: Sequence[str],
) -> Facts:
    """Look at everything that capture of `tables` for `link` depends on."""
    own = _own(connection, settings, link)
    found = _tables(connection, settings, link, tables)
    oids = [oid for oid, _ in found]
    known = {table.given for _, table in found}
    referred = connection.execute(_REFERRED, {"oids": oids}).fetchall()
    return Facts(
        settings=settings,
        link=link,
        server=_server(connection, settings.schema),
        own=own,
        tables=tuple(table for _, table in found),
        missing=tuple(dict.fromkeys(name for name in tables if name not in known)),
        referred=tuple(name for (name,) in referred),
        remembered=_remembered(connection, settings, link)
        if own.installed and own.usable
        else frozenset(),
    )


def _server(connection: PostgresConnection, schema: str) -> ServerFacts:
    row = connection.execute(_SERVER, (schema,)).fetchone()
    assert row is not None  # noqa: S101 - current_user is always listed
    version, level, slots, senders, timestamps, role, *flags = row
    superuser, replication, database, create, usage = flags
    return ServerFacts(
        version=int(version),
        wal_level=level,
        slots_left=int(slots),
        senders_left=int(senders),
        commit_timestamps=timestamps == "on",
        role=role,
        superuser=superuser == "t",
        replication=replication == "t",
        database=database,
        may_create_schema=create == "t",
        schema_usage=usage == "t",
    )


def _own(
    connection: PostgresConnection, settings: ConnectionSettings, link: str
) -> OwnFacts:
    names = {
        "schema": OWN_SCHEMA,
        "publication": publication_name(link, settings.side),
        "slot": slot_name(link, settings.side),
        "rights": list(RIGHTS),
    }
    row = connection.execute(_OWN, names).fetchone()
    assert row is not None  # noqa: S101 - joined to one row
    return OwnFacts(*(value == "t" for value in row))


def _remembered(
    connection: PostgresConnection, settings: ConnectionSettings, link: str
) -> frozenset[str]:
    rows = connection.execute(
        "SELECT table_name FROM dualwrite.installed WHERE link = %s",
        (row_name(link, settings.side),),
    )
    return frozenset(name for (name,) in rows)


def _tables(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    names: Sequence[str],
) -> list[tuple[str, TableFacts]]:
    rows = connection.execute(
        _TABLES,
        {
            "names": list(dict.fromkeys(names)),
            "schema": settings.schema,
            "publication": publication_name(link, settings.side),
            "rights": list(RIGHTS),
        },
    ).fetchall()
    oids = {"oids": [row[0] for row in rows]}
    stored: dict[str, list[StoredTable]] = {}
    for oid, name, identity, index, *flags in connection.execute(_STORED, oids):
        owned, virtual = (flag == "t" for flag in flags)
        stored.setdefault(oid, []).append(
            StoredTable(name, identity, index, owned, virtual)
        )
    sequences: dict[str, list[str]] = {}
    for oid, name in connection.execute(_SEQUENCES, oids):
        sequences.setdefault(oid, []).append(name)
    return [
        (
            oid,
            TableFacts(
                given=given,
                name=name,
                owned=owned == "t",
                published=published == "t",
                unique=unique == "t",
                rights=frozenset(rights.split()),
                row_security=secured == "t",
                sequences=tuple(sequences.get(oid, ())),
                stored=tuple(stored.get(oid, ())),
            ),
        )
        for oid, given, name, owned, published, unique, rights, secured in rows
    ]
