"""Synchronous mode on PostgreSQL: our stream as a synchronous standby.

The server treats a logical stream like any standby: a commit waits until the stream
named in `synchronous_standby_names` has confirmed its place in the log. The setting
belongs to the whole server and survives a restart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg import sql

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.gate import GateView
from syncengine.connectors.postgres.connection import (
    PostgresConnection,
    connect,
)
from syncengine.connectors.postgres.errors import translated_setup
from syncengine.connectors.postgres.names import slot_name
from syncengine.connectors.postgres.standby_names import StandbyNames
from syncengine.connectors.postgres.taking_effect import (
    TAKES_EFFECT_SECONDS,
    wait_until_in_effect,
)
from syncengine.errors import EngineError, OutageError, SetupError
from syncengine.mapping.model import HealthFinding, Severity

SETTING = "synchronous_standby_names"
POLL_SECONDS = 0.02

_RIGHTS = """
SELECT current_user, current_setting('server_version_num')::int / 10000,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE'),
       pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_has_role('pg_signal_backend', 'USAGE')
"""
_MAY_SET = "SELECT has_parameter_privilege('synchronous_standby_names', 'ALTER SYSTEM')"

_LOOK = """
SELECT current_setting('synchronous_standby_names'),
       pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint,
       pg_wal_lsn_diff(r.flush_lsn, '0/0')::bigint, coalesce(r.state, ''),
       pg_has_role('pg_read_all_stats', 'USAGE'),
       coalesce(w.waiting, '{}'), coalesce(w.crossed, '{}')
FROM (VALUES (1)) one
LEFT JOIN pg_stat_replication r ON r.application_name = %(name)s
CROSS JOIN LATERAL (
    SELECT array_agg(a.pid || ' ' || a.query_start)
               FILTER (WHERE a.wait_event = 'SyncRep') AS waiting,
           (SELECT array_agg(DISTINCT h.pid || ' ' || h.query_start)
            FROM pg_stat_activity o, unnest(pg_blocking_pids(o.pid)) blocker
            JOIN pg_stat_activity h ON h.pid = blocker AND h.wait_event = 'SyncRep'
            WHERE o.datname = current_database() AND o.wait_event_type = 'Lock'
              AND o.application_name = 'dualwrite writer') AS crossed
    FROM pg_stat_activity a) w
LIMIT 1
"""

_WAITING = """
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM pg_stat_get_activity(NULL) WHERE wait_event = 'SyncRep')
    THEN 't' WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN 'f' END
"""
_ELSEWHERE = """
SELECT count(*) FROM pg_file_settings
WHERE name = 'synchronous_standby_names' AND setting <> ''
  AND sourcefile NOT LIKE '%%postgresql.auto.conf'
"""
_RELEASE = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE wait_event = 'SyncRep' AND pid || ' ' || query_start = %s
"""


class PostgresGate:
    """Promises of `syncengine.connectors.gate.CommitGate`."""

    def __init__(self, settings: ConnectionSettings, link: str) -> None:
        self._settings = settings
        self._name = slot_name(link, settings.side)
        self._connection: PostgresConnection | None = None

    def _open(self) -> PostgresConnection:
        connection = self._connection
        if connection is None or connection.closed:
            connection = connect(
                self._settings, autocommit=True, application_name="dualwrite gate"
            )
            self._connection = connection
        return connection

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    # -- what is ----------------------------------------------------------------------

    def findings(self) -> list[HealthFinding]:
        """What keeps commits from waiting for us, or from being let go."""
        with translated_setup(self._settings.name):
            connection = self._open()
            found = _missing_rights(connection, self._settings.name)
            try:
                self._names(connection).with_name(self._name)
            except SetupError as error:
                found.append(
                    HealthFinding(
                        "PG_STANDBY_NAMES",
                        Severity.ERROR,
                        error.message,
                        self._settings.name,
                        "Change the setting, then turn synchronous mode on.",
                    )
                )
        return found

    def look(self) -> GateView:
        """The present state of the setting, our stream and the waiting commits."""
        with translated_setup(self._settings.name):
            row = self._open().execute(_LOOK, {"name": self._name}).fetchone()
        assert row is not None  # noqa: S101 - one row always comes
        names, written, through, state, sees, waiting, crossed = row
        return GateView(
            armed=StandbyNames.parse(names).has(self._name),
            streaming=state == "streaming",
            written=int(written),
            through=None if through is None else int(through),
            waiting=_texts(waiting) if sees == "t" else None,
            crossed=_texts(crossed),
        )

    def commits_wait(self) -> bool | None:
        """Whether any commit waits now; None where our account may not see that."""
        with translated_setup(self._settings.name):
            row = self._open().execute(_WAITING).fetchone()
        return None if row is None or row[0] is None else bool(row[0] == "t")

    def _names(self, connection: PostgresConnection) -> StandbyNames:
        row = connection.execute(
            "SELECT current_setting('synchronous_standby_names')"
        ).fetchone()
        return StandbyNames.parse(row[0] if row else "")

    # -- what is done -----------------------------------------------------------------

    def arm(self) -> None:
        """Have the server's commits wait for our stream too, which must be there."""
        if not self.look().streaming:
            raise SetupError(
                f"No stream of ours is connected to {self._settings.name} and up to "
                "date, so commits there would wait for nobody.",
                code="stream_missing",
            )
        with translated_setup(self._settings.name):
            connection = self._open()
            _demand_rights(connection, self._settings.name)
            names = self._names(connection).with_name(self._name)
            try:
                _store(connection, names)
                _reload(connection, self._settings.name, names)
                wait_until_in_effect(connection, self._settings, names, self._name)
            except BaseException:
                with suppress(psycopg.Error, EngineError):  # the first one tells more
                    remove_name(connection, self._settings.name, self._name)
                raise

    def disarm(self) -> None:
        """Take our name out of the setting, and let go who waits."""
        with translated_setup(self._settings.name):
            remove_name(self._open(), self._settings.name, self._name)

    def release(self, waiting: Sequence[str]) -> None:
        """Cancel the wait of single commits, where our account may."""
        with translated_setup(self._settings.name):
            connection = self._open()
            for one in waiting:
                with suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute(_RELEASE, [one])


def remove_name(connection: PostgresConnection, place: str, name: str) -> None:
    """Take `name` out of the setting, if it is there. Raises SetupError
    `rights_missing` with the administrator's script where our account may not."""
    row = connection.execute(
        "SELECT current_setting('synchronous_standby_names')"
    ).fetchone()
    present = StandbyNames.parse(row[0] if row else "")
    if not present.has(name):
        return
    left = present.without(name)
    if _missing_rights(connection, place):
        raise SetupError(
            f"Commits on {place} wait for our stream {name}, and our account may not "
            "end that.",
            code="rights_missing",
            details={"script": _statement(left) + ";\nSELECT pg_reload_conf();\n"},
        )
    if not left.names and _set_nowhere_else(connection):
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
    else:
        _store(connection, left)
    _reload(connection, place, left)


def removal_note(name: str) -> str:
    """For an administrator's script: statements depend on the value there."""
    return (
        f"-- If SHOW {SETTING} names {name}, first take it out there:\n"
        f"--   ALTER SYSTEM RESET {SETTING};  (or SET it without the name)\n"
        "--   SELECT pg_reload_conf();\n"
    )


def _missing_rights(connection: PostgresConnection, place: str) -> list[HealthFinding]:
    row = connection.execute(_RIGHTS).fetchone()
    assert row is not None  # noqa: S101 - one row always comes
    role, version, superuser, reloads, sees, _ = row
    if superuser == "t":
        return []
    if int(version) < 15:
        return [
            HealthFinding(
                "PG_SYNCHRONOUS_RIGHTS",
                Severity.ERROR,
                f"Before PostgreSQL 15 only a superuser may set {SETTING}, and "
                f"{role} is none.",
                place,
                "Upgrade the server, or let the environment use a superuser account.",
            )
        ]
    name = sql.Identifier(role).as_string(connection)
    statements = []
    allowed = connection.execute(_MAY_SET).fetchone()
    if allowed is None or allowed[0] != "t":
        statements.append(f"GRANT ALTER SYSTEM ON PARAMETER {SETTING} TO {name};\n")
    if reloads != "t":
        statements.append(f"GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {name};\n")
    if not statements:
        return []
    if sees != "t":
        statements.append(f"GRANT pg_read_all_stats, pg_signal_backend TO {name};\n")
    return [
        HealthFinding(
            "PG_SYNCHRONOUS_RIGHTS",
            Severity.ERROR,
            f"The account {role} may not set {SETTING} and reload the server, so it "
            "could not let waiting users go.",
            place,
            "Let a database administrator run the script in this database.",
            "".join(statements),
        )
    ]


def _demand_rights(connection: PostgresConnection, place: str) -> None:
    for finding in _missing_rights(connection, place):
        raise SetupError(
            f"{finding.message} {finding.cure}",
            code="rights_missing",
            details={"script": finding.script},
        )


def _statement(names: StandbyNames) -> str:
    return f"ALTER SYSTEM SET {SETTING} = {sql.Literal(str(names)).as_string()}"


def _store(connection: PostgresConnection, names: StandbyNames) -> None:
    connection.execute(_statement(names).encode())


def _set_nowhere_else(connection: PostgresConnection) -> bool:
    """Whether a reset leaves the setting empty; False where we may not know."""
    try:
        row = connection.execute(_ELSEWHERE).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return False
    return row is not None and row[0] == "0"


def _reload(connection: PostgresConnection, place: str, names: StandbyNames) -> None:
    """Have the server read its settings, and wait until it has."""
    connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + TAKES_EFFECT_SECONDS
    while True:
        row = connection.execute(
            "SELECT current_setting('synchronous_standby_names')"
        ).fetchone()
        if row is not None and StandbyNames.parse(row[0]) == names:
            return
        if time.monotonic() > deadline:
            raise OutageError(
                f"{place} has not taken over {SETTING} = '{names}'; it may be fixed on "
                "the server's command line.",
                code="setting_fixed",
            )
        time.sleep(POLL_SECONDS)


def _texts(array: str) -> tuple[str, ...]:
    """The elements of a text array as the server writes it; none has a quote."""
    inner = array.strip("{}")
    return tuple(part.strip('"') for part in inner.split(",")) if inner else ()
