"""What capture needs in a customer's database: listed, made, or given as a script.

Our schema `dualwrite` with two tables, a publication, REPLICA IDENTITY FULL on the
captured tables (the former one is remembered) and a replication slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from syncengine.connectors.base import (
    ConnectionSettings,
    InstallPlan,
    PlannedObject,
)
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.facts import RIGHTS, Facts, StoredTable, gather
from syncengine.connectors.postgres.names import OWN_SCHEMA
from syncengine.errors import OutageError, SetupError
from syncengine.mapping.model import HealthFinding, Severity

SLOT_PATIENCE_SECONDS = 60
"""A slot waits for every transaction open on the server when it is made."""

GENERATED_FROM = 18
"""From this version on a published table with REPLICA IDENTITY FULL refuses updates
while its generated columns are not published too."""

_GENERATED = "publish_generated_columns = stored"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('dualwrite install'))"

_POSITION = """\
CREATE TABLE dualwrite.position (
    link text PRIMARY KEY,
    position text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
)"""
_INSTALLED = """\
CREATE TABLE dualwrite.installed (
    link text NOT NULL,
    table_name text NOT NULL,
    former_identity "char" NOT NULL,
    former_index text,
    PRIMARY KEY (link, table_name)
)"""

# Where another connection set captures the table already, what it found counts.
_REMEMBER = """\
INSERT INTO dualwrite.installed (link, table_name, former_identity, former_index)
SELECT {row}, {table}, coalesce(max(o.former_identity::text), {identity})::"char",
       CASE WHEN count(o.*) > 0 THEN max(o.former_index) ELSE {index} END
FROM dualwrite.installed o WHERE o.table_name = {table}
ON CONFLICT DO NOTHING"""

_BLOCKERS = """
SELECT format('process %%s of %%s in database %%s, open since %%s', pid, usename,
              datname, to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS'))
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = %s
ORDER BY xact_start LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of the installation; `allowed` when our account may run it."""

    statement: str
    allowed: bool


def plan_install(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    tables: Sequence[str],
) -> InstallPlan:
    """Statements that capture of `tables` still needs, and what stands in the way."""
    facts = gather(connection, settings, link, tables)
    steps = _steps(connection, facts)
    statements = [step.statement for step in steps]
    if not facts.own.slot:
        statements.append(_slot_statement(connection, facts))
    findings: tuple[HealthFinding, ...] = ()
    if not _allowed(facts, steps):
        findings = (_rights_finding(connection, facts, steps),)
    return InstallPlan(tuple(statements), findings, tuple(_objects(facts)))


def _objects(facts: Facts) -> Iterator[PlannedObject]:
    """What the plan's statements make, then what they change."""
    own = facts.own
    made = (
        ("schema", OWN_SCHEMA, own.schema),
        ("table", f"{OWN_SCHEMA}.position", own.position),
        ("table", f"{OWN_SCHEMA}.installed", own.installed),
        ("publication", facts.publication, own.publication),
        ("replication slot", facts.slot, own.slot),
    )
    for kind, name, present in made:
        if not present:
            yield PlannedObject(kind, name)
    for table in facts.tables:
        if not table.published:
            yield PlannedObject("table to publish", table.name)
    stored = {one.name for table in facts.tables for one in table.stored if one.partial}
    for name in sorted(stored):
        yield PlannedObject("table to log whole rows of", name)


def install(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    tables: Sequence[str],
) -> None:
    """Make what is missing; `connection` is in autocommit mode.

    Raises SetupError `rights_missing` with the administrator's script in
    `details["script"]` and changes nothing when our account may not do all of it, and
    SetupError `table_missing`.
    """
    with connection.transaction():
        connection.execute(ONE_AT_A_TIME)
        connection.execute(LOCK_TIMEOUT)
        facts = gather(connection, settings, link, tables)
        if facts.missing:
            names = ", ".join(facts.missing)
            raise SetupError(
                f"{settings.name} has no table {names} in schema {settings.schema}.",
                code="table_missing",
                details={"tables": list(facts.missing)},
            )
        steps = _steps(connection, facts)
        if not _allowed(facts, steps):
            finding = _rights_finding(connection, facts, steps)
            raise SetupError(
                finding.message,
                code="rights_missing",
                details={"script": finding.script},
            )
        for step in steps:
            connection.execute(step.statement.encode())
    if not facts.own.slot:
        _create_slot(connection, facts)


def grants(connection: PostgresConnection, facts: Facts) -> list[str]:
    """GRANT statements for rights our account lacks on the tables."""
    role = sql.Identifier(facts.server.role)
    found: list[sql.Composable] = []
    if not facts.server.schema_usage:
        schema = sql.Identifier(facts.settings.schema)
        found.append(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
    for table in facts.tables:
        lacking = [right for right in RIGHTS if right not in table.rights]
        if lacking:
            rights = sql.SQL(", ").join(sql.SQL(right) for right in lacking)
            name = sql.SQL(table.name)
            found.append(sql.SQL("GRANT {} ON {} TO {}").format(rights, name, role))
        for sequence in table.sequences:
            name = sql.SQL(sequence)
            found.append(sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(name, role))
    if not facts.own.usable:
        schema = sql.Identifier(OWN_SCHEMA)
        found.append(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        rights = sql.SQL(", ").join(sql.SQL(right) for right in RIGHTS)
        found.append(
            sql.SQL("GRANT {} ON ALL TABLES IN SCHEMA {} TO {}").format(
                rights, schema, role
            )
        )
    for referred in facts.referred:
        name = sql.SQL(referred)
        found.append(sql.SQL("GRANT SELECT ON {} TO {}").format(name, role))
    return [statement.as_string(connection) for statement in found]


def replication_grant(connection: PostgresConnection, facts: Facts) -> str:
    """The statement that lets our account read the log."""
    role = sql.Identifier(facts.server.role)
    return sql.SQL("ALTER ROLE {} REPLICATION").format(role).as_string(connection)


def administrator_script(connection: PostgresConnection, facts: Facts) -> str:
    """What a database administrator runs once; afterwards `install` does the rest."""
    return _script(connection, facts, _steps(connection, facts))


def _steps(connection: PostgresConnection, facts: Facts) -> list[Step]:
    own, server = facts.own, facts.server
    writable = own.schema_writable if own.schema else server.may_create_schema
    steps: list[Step] = []
    if not own.schema:
        steps.append(Step(f"CREATE SCHEMA {OWN_SCHEMA}", writable))
    if not own.position:
        steps.append(Step(_POSITION, writable))
    if not own.installed:
        steps.append(Step(_INSTALLED, writable))
    if own.publication and not own.generated:
        steps.append(
            Step(
                f"ALTER PUBLICATION {_publication(connection, facts)} "
                f"SET ({_GENERATED})",
                own.publication_owned,
            )
        )
    seen: set[str] = set()
    for table in facts.tables:
        for stored in table.stored:
            if stored.name not in seen:
                seen.add(stored.name)
                steps += _identity_steps(connection, facts, stored)
    return steps + _publication_steps(connection, facts)


def _identity_steps(
    connection: PostgresConnection, facts: Facts, stored: StoredTable
) -> list[Step]:
    steps = []
    if stored.name not in facts.remembered:
        remember = sql.SQL(_REMEMBER).format(
            row=sql.Literal(facts.row),
            table=sql.Literal(stored.name),
            identity=sql.Literal(stored.identity),
            index=sql.Literal(stored.index),
        )
        steps.append(Step(remember.as_string(connection), True))
    if stored.partial:
        alter = f"ALTER TABLE {stored.name} REPLICA IDENTITY FULL"
        steps.append(Step(alter, stored.owned))
    return steps


def _publication_steps(connection: PostgresConnection, facts: Facts) -> list[Step]:
    own = facts.own
    name = _publication(connection, facts)
    tables = [table for table in facts.tables if not table.published]
    names = ", ".join(dict.fromkeys(table.name for table in tables))
    owned = all(table.owned for table in tables)
    if not own.publication:
        target = f" FOR TABLE {names}" if names else ""
        options = "publish_via_partition_root = true"
        if facts.server.version >= GENERATED_FROM:
            options += f", {_GENERATED}"
        statement = f"CREATE PUBLICATION {name}{target} WITH ({options})"
        return [Step(statement, owned and facts.server.may_create_schema)]
    if not names:
        return []
    statement = f"ALTER PUBLICATION {name} ADD TABLE {names}"
    return [Step(statement, owned and own.publication_owned)]


def _publication(connection: PostgresConnection, facts: Facts) -> str:
    return sql.Identifier(facts.publication).as_string(connection)


def _allowed(facts: Facts, steps: Sequence[Step]) -> bool:
    ready = facts.server.replication and facts.own.usable
    return ready and all(step.allowed for step in steps)


def _script(connection: PostgresConnection, facts: Facts, steps: Sequence[Step]) -> str:
    role = sql.Identifier(facts.server.role).as_string(connection)
    lines: list[str] = []
    if not facts.server.replication:
        lines.append(replication_grant(connection, facts))
    lines += grants(connection, facts)
    if not all(step.allowed for step in steps):
        for step in steps:
            statement = step.statement
            if statement == f"CREATE SCHEMA {OWN_SCHEMA}":
                statement += f" AUTHORIZATION {role}"
            lines.append(statement)
            if statement in (_POSITION, _INSTALLED):
                name = statement.split()[2]
                lines.append(f"ALTER TABLE {name} OWNER TO {role}")
        if facts.own.schema and not facts.own.schema_writable:
            lines.append(f"GRANT USAGE, CREATE ON SCHEMA {OWN_SCHEMA} TO {role}")
    return "".join(f"{line};\n" for line in lines)


def _rights_finding(
    connection: PostgresConnection, facts: Facts, steps: Sequence[Step]
) -> HealthFinding:
    lacking = [step.statement.splitlines()[0] for step in steps if not step.allowed]
    if not facts.own.usable:
        lacking.insert(0, f"use of schema {OWN_SCHEMA}")
    if not facts.server.replication:
        lacking.insert(0, replication_grant(connection, facts))
    return HealthFinding(
        code="PG_PRIVILEGE",
        severity=Severity.ERROR,
        message=(
            f"The account {facts.server.role} of {facts.settings.name} may not install "
            f"change capture: it lacks rights for {len(lacking)} steps, first "
            f"{lacking[0]}."
        ),
        place=facts.settings.name,
        cure="Let a database administrator run the script, then install again.",
        script=_script(connection, facts, steps),
    )


def _slot_statement(connection: PostgresConnection, facts: Facts) -> str:
    name = sql.Literal(facts.slot).as_string(connection)
    return f"SELECT pg_create_logical_replication_slot({name}, 'pgoutput')"


def _create_slot(connection: PostgresConnection, facts: Facts) -> None:
    statement = _slot_statement(connection, facts)
    connection.execute(
        sql.SQL("SET statement_timeout = {}").format(
            sql.Literal(f"{SLOT_PATIENCE_SECONDS}s")
        )
    )
    try:
        connection.execute(statement.encode())
    except psycopg.errors.DuplicateObject:
        return
    except psycopg.errors.QueryCanceled as error:
        blocker = connection.execute(_BLOCKERS, ("client backend",)).fetchone()
        raise OutageError(
            f"The replication slot on {facts.settings.name} waits for transactions "
            f"that are open on its server: {blocker[0] if blocker else 'unknown'}.",
            code="slot_blocked",
            remote=str(error),
        ) from error
    finally:
        connection.execute("SET statement_timeout = 0")
