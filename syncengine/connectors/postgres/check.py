"""Findings for each missing prerequisite of capture and writing."""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.connectors.base import ConnectionSettings, InstallPlan
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.facts import RIGHTS, Facts, TableFacts, gather
from syncengine.connectors.postgres.install import (
    administrator_script,
    grants,
    replication_grant,
)
from syncengine.mapping.model import HealthFinding, Severity

OLDEST, NEWEST = 14, 18

MADE_BY_INSTALL = {
    "PG_SCHEMA",
    "PG_PUBLICATION",
    "PG_SLOT",
    "PG_REPLICA_IDENTITY",
    "400",
}
GRANTED_BY_SCRIPT = {"PG_PRIVILEGE", "PG_REPLICATION_ROLE"}


def check(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    tables: Sequence[str],
) -> list[HealthFinding]:
    """What stands between `tables` of this environment and live sync of `link`.

    Empty means ready. Errors block a run, warnings and informations do not. Without
    a link only the server itself is looked at.
    """
    facts = gather(connection, settings, link, tables)
    findings = server_findings(connection, facts)
    if not link:
        return findings
    findings += _own(connection, facts)
    for name in facts.missing:
        findings.append(
            HealthFinding(
                code="PG_TABLE_MISSING",
                severity=Severity.ERROR,
                message=f"Table {name} does not exist in schema {settings.schema}.",
                place=f"{settings.name}.{name}",
                cure="Create the table, or correct the map.",
            )
        )
    for table in facts.tables:
        findings += _table(connection, facts, table)
    return findings


def before_install(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    link: str,
    tables: Sequence[str],
    plan: InstallPlan,
) -> list[HealthFinding]:
    """What `check` finds already, without what `install` is about to make and
    without what the script of `plan` grants."""
    covered = MADE_BY_INSTALL | (GRANTED_BY_SCRIPT if plan.findings else set())
    found = check(connection, settings, link, tables)
    return [finding for finding in found if finding.code not in covered]


def server_findings(
    connection: PostgresConnection, facts: Facts
) -> list[HealthFinding]:
    """What the server and our account on it lack."""
    server, place = facts.server, facts.settings.name
    findings: list[HealthFinding] = []

    def add(
        code: str, severity: Severity, message: str, cure: str, script: str = ""
    ) -> None:
        findings.append(HealthFinding(code, severity, message, place, cure, script))

    if server.version < OLDEST:
        add(
            "100",
            Severity.ERROR,
            f"PostgreSQL {server.version} is older than {OLDEST}, the first version "
            "whose changes can be read.",
            f"Use a server of version {OLDEST} to {NEWEST}.",
        )
    elif server.version > NEWEST:
        add(
            "PG_VERSION",
            Severity.WARNING,
            f"PostgreSQL {server.version} is newer than {NEWEST}, the last version "
            "that was tried.",
            f"Use a server of version {OLDEST} to {NEWEST}.",
        )
    if server.wal_level != "logical":
        add(
            "PG_WAL_LEVEL",
            Severity.ERROR,
            f"The server writes its log at level {server.wal_level}; changes can only "
            "be read at level logical.",
            "Let a database administrator run the script and restart the server.",
            "ALTER SYSTEM SET wal_level = 'logical';\n",
        )
    if not server.replication:
        add(
            "PG_REPLICATION_ROLE",
            Severity.ERROR,
            f"The account {server.role} may not read the server's log.",
            "Let a database administrator run the script.",
            replication_grant(connection, facts) + ";\n",
        )
    if server.slots_left <= 0 and not facts.own.slot:
        add(
            "PG_SLOTS_LEFT",
            Severity.ERROR,
            "The server has no replication slot left.",
            "Drop slots nobody uses, or raise max_replication_slots and restart the "
            "server.",
            "ALTER SYSTEM SET max_replication_slots = "
            f"{_setting(connection, 'max_replication_slots') + 10};\n",
        )
    if server.senders_left <= 0:
        add(
            "PG_SENDERS_LEFT",
            Severity.WARNING,
            "The server has no replication connection left.",
            "Raise max_wal_senders and restart the server.",
            "ALTER SYSTEM SET max_wal_senders = "
            f"{_setting(connection, 'max_wal_senders') + 10};\n",
        )
    if not server.schema_usage:
        schema = facts.settings.schema
        add(
            "PG_PRIVILEGE",
            Severity.ERROR,
            f"The account {server.role} may not use schema {schema}.",
            "Let a database administrator run the script.",
            grants(connection, facts)[0] + ";\n",
        )
    for referred in facts.referred:
        add(
            "PG_PRIVILEGE",
            Severity.WARNING,
            f"The account {server.role} lacks the right SELECT on {referred}, which "
            "mapped tables refer to.",
            "Let a database administrator run the script.",
            _lines([g for g in grants(connection, facts) if f" ON {referred} " in g]),
        )
    if _setting(connection, "max_prepared_transactions") == 0:
        add(
            "PG_PREPARED_TRANSACTIONS",
            Severity.INFO,
            "The server keeps no prepared transactions (max_prepared_transactions is "
            "0), which atomic writes need; nothing else does.",
            "For atomic writes let a database administrator run the script and restart "
            "the server.",
            "ALTER SYSTEM SET max_prepared_transactions = 50;\n",
        )
    if not server.commit_timestamps:
        add(
            "PG_COMMIT_TIMESTAMP",
            Severity.INFO,
            "The server does not keep the time of commits; where both sides change "
            "one column, the time the change was read decides instead.",
            "For exact last-writer-wins let a database administrator run the script "
            "and restart the server.",
            "ALTER SYSTEM SET track_commit_timestamp = on;\n",
        )
    return findings


def _own(connection: PostgresConnection, facts: Facts) -> list[HealthFinding]:
    own, place = facts.own, facts.settings.name
    findings: list[HealthFinding] = []
    script = administrator_script(connection, facts)
    cure = "Install change capture."
    if script:
        cure = "Let a database administrator run the script, then install."

    def add(code: str, message: str) -> None:
        findings.append(
            HealthFinding(code, Severity.ERROR, message, place, cure, script)
        )

    if not own.position or not own.installed:
        add("PG_SCHEMA", "Our schema dualwrite with its two tables is not there yet.")
    if not own.usable:
        own_grants = [
            g for g in grants(connection, facts) if ' SCHEMA "dualwrite" ' in g
        ]
        findings.append(
            HealthFinding(
                "PG_PRIVILEGE",
                Severity.ERROR,
                f"The account {facts.server.role} may not use our schema dualwrite.",
                place,
                "Let a database administrator run the script.",
                _lines(own_grants),
            )
        )
    if not own.publication:
        add("PG_PUBLICATION", f"Publication {facts.publication} does not exist yet.")
    if not own.slot:
        add("PG_SLOT", f"Replication slot {facts.slot} does not exist yet.")
    elif own.slot_lost:
        findings.append(
            HealthFinding(
                "PG_SLOT_LOST",
                Severity.ERROR,
                f"The server has thrown away log that slot {facts.slot} still needed: "
                "changes are missing.",
                place,
                "Uninstall and install change capture, then run the initial sync or "
                "compare again; raise max_slot_wal_keep_size if this comes back.",
                f"SELECT pg_drop_replication_slot('{facts.slot}');\n",
            )
        )
    return findings


def _table(
    connection: PostgresConnection, facts: Facts, table: TableFacts
) -> list[HealthFinding]:
    place = f"{facts.settings.name}.{table.given}"
    findings: list[HealthFinding] = []

    def add(
        code: str, severity: Severity, message: str, cure: str, script: str = ""
    ) -> None:
        findings.append(HealthFinding(code, severity, message, place, cure, script))

    if not table.unique:
        add(
            "DIPV1019",
            Severity.ERROR,
            f"{table.given} has neither a primary key nor a unique index: its records "
            "cannot be told apart.",
            "Add a primary key or a unique index on the integration key.",
        )
    all_grants = grants(connection, facts)
    for right in RIGHTS:
        if right not in table.rights:
            role = facts.server.role
            add(
                "PG_PRIVILEGE",
                Severity.ERROR,
                f"The account {role} lacks the right {right} on {table.given}.",
                "Let a database administrator run the script.",
                _lines([g for g in all_grants if f" ON {table.name} " in g]),
            )
    for sequence in table.sequences:
        add(
            "PG_PRIVILEGE",
            Severity.ERROR,
            f"The account {facts.server.role} may not use sequence {sequence}, which "
            f"fills a column of {table.given}.",
            "Let a database administrator run the script.",
            _lines([g for g in all_grants if f" SEQUENCE {sequence} " in g]),
        )
    if table.row_security:
        add(
            "PG_ROW_SECURITY",
            Severity.WARNING,
            f"Row security hides rows of {table.given} from the account "
            f"{facts.server.role}; changes of hidden rows would still be carried over.",
            "Exempt the account from row security (BYPASSRLS).",
        )
    if facts.own.publication and not table.published:
        add(
            "400",
            Severity.WARNING,
            f"Changes of {table.given} are not captured: it is not in publication "
            f"{facts.publication}.",
            "Stop the map and run it again, which registers the table and copies what "
            "was missed.",
            administrator_script(connection, facts),
        )
    if any(stored.virtual for stored in table.stored):
        add(
            "PG_REPLICA_IDENTITY",
            Severity.WARNING,
            f"{table.given} has virtual columns, so PostgreSQL cannot report the row "
            "before a change: conflicts are judged per row and the integration key "
            "must be the primary key.",
            "Make the generated columns stored ones where that matters.",
        )
    partial = [stored.name for stored in table.stored if stored.partial]
    if partial:
        add(
            "PG_REPLICA_IDENTITY",
            Severity.WARNING,
            f"Changes of {table.given} come without the row before the change "
            f"(REPLICA IDENTITY is not FULL on {', '.join(partial)}): conflicts are "
            "judged per row and the integration key must be the primary key.",
            "Install change capture, or let the owner of the table run the script.",
            _lines([f"ALTER TABLE {name} REPLICA IDENTITY FULL" for name in partial]),
        )
    return findings


def _setting(connection: PostgresConnection, name: str) -> int:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return int(row[0]) if row else 0


def _lines(statements: Sequence[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)
