"""One environment on PostgreSQL: everything a connector promises, wired together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from syncengine.connectors.base import (
    ChangeStream,
    ConnectionSettings,
    Description,
    HeldLog,
    InstallPlan,
    Reader,
    ReadRequest,
    Writer,
)
from syncengine.connectors.branch import TwoPhase
from syncengine.connectors.gate import CommitGate
from syncengine.connectors.postgres.catalog import read_schema
from syncengine.connectors.postgres.check import before_install, check
from syncengine.connectors.postgres.connection import PostgresConnection, connect
from syncengine.connectors.postgres.errors import translated_setup
from syncengine.connectors.postgres.filling import fill_company
from syncengine.connectors.postgres.install import install, plan_install
from syncengine.connectors.postgres.leftovers import links
from syncengine.connectors.postgres.names import SIGN_PREFIX, slot_name
from syncengine.connectors.postgres.position import format_position, parse_position
from syncengine.connectors.postgres.reader import PostgresReader
from syncengine.connectors.postgres.uninstall import (
    drop_slot,
    removal_script,
    uninstall,
)
from syncengine.errors import SetupError
from syncengine.mapping.model import HealthFinding
from syncengine.mapping.schema import CompanyRule, EnvironmentSchema

_SIGN = "SELECT pg_logical_emit_message(true, %s, %s)"

CAPABILITIES = frozenset(
    {"changes", "transactions", "snapshot", "bulk_load", "before_images", "deletes"}
)

_DESCRIPTION = """
SELECT current_setting('server_version'), s.system_identifier, d.oid, d.datname,
       extract(epoch FROM clock_timestamp()), current_setting('track_commit_timestamp')
FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
"""

_CONFIRMED = """
SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s
"""

_LAG = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
FROM pg_replication_slots WHERE slot_name = %s
"""

_HELD = """
SELECT confirmed_flush_lsn, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn),
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn),
       coalesce(wal_status = 'lost', true)
FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()
"""


class PostgresConnector:
    """Promises of `syncengine.connectors.base.Connector`, kept by PostgreSQL 14-18."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def describe(self) -> Description:
        """Product, version, fingerprint, capabilities and clock of the server."""
        with self._connected("describe") as connection:
            before = time.time()
            row = connection.execute(_DESCRIPTION).fetchone()
            after = time.time()
        assert row is not None  # noqa: S101 - the current database is always listed
        version, system, database, name, clock, commit_timestamps = row
        text = f"{system}/{database}/{name}"
        capabilities = CAPABILITIES
        if commit_timestamps == "on":
            capabilities |= {"commit_timestamps"}
        return Description(
            product="PostgreSQL",
            version=version.partition(" ")[0],
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:32],
            capabilities=capabilities,
            clock_skew_seconds=float(clock) - (before + after) / 2,
        )

    def tables(self, names: Sequence[str] | None = None) -> EnvironmentSchema:
        """Schemas of the named tables and of those they refer to."""
        with self._connected("schema") as connection:
            tables = read_schema(connection, self.settings.schema, names)
        return EnvironmentSchema(self.settings.name, tables, self.settings.company)

    def reader(self) -> AbstractContextManager[Reader]:
        """A reader over its own connection."""
        return self._reader()

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with self._connect("reader") as connection:
            yield PostgresReader(connection, self.settings)

    def open_stream(
        self,
        link: str,
        position: str | None,
        *,
        prompt: bool = False,
        own: bool = False,
    ) -> ChangeStream:
        """The change stream of `link` from `position`."""
        from syncengine.connectors.postgres.stream import PostgresStream

        return PostgresStream(self.settings, link, position, prompt=prompt, own=own)

    def send_sign(
        self, link: str, sign: str, sending: Callable[[], None] | None = None
    ) -> None:
        """A logical message in a transaction of its own. It waits for our disk and for
        nobody else's: its own stream may be what a commit waits for."""
        with self._connected("sign") as connection:
            try:
                connection.execute("SET synchronous_commit = local")
                if sending is not None:
                    sending()
                connection.execute(_SIGN, (SIGN_PREFIX, sign))
            except (InsufficientPrivilege, ReadOnlySqlTransaction) as error:
                raise SetupError(
                    f"{self.settings.name} does not let our account send a sign of "
                    "life through its log (pg_logical_emit_message), so the latency is "
                    "that of the last change. Grant EXECUTE on the function to it.",
                    code="sign_refused",
                    remote=str(error),
                ) from error

    def writer(self, link: str, *, durable: bool = False) -> Writer:
        """A writer whose transactions carry the mark of `link`."""
        from syncengine.connectors.postgres.writer import PostgresWriter

        return PostgresWriter(self.settings, link, durable=durable)

    def gate(self, link: str) -> CommitGate:
        """The gate at which commits here wait for the stream of `link`."""
        from syncengine.connectors.postgres.gate import PostgresGate

        return PostgresGate(self.settings, link)

    def two_phase(self, link: str) -> TwoPhase:
        """Atomic writes of `link` here."""
        from syncengine.connectors.postgres.branch import PostgresTwoPhase

        return PostgresTwoPhase(self.settings, link)

    def plan_install(self, link: str, tables: Sequence[str]) -> InstallPlan:
        """What capture of `tables` still needs here."""
        with self._connected("install") as connection:
            plan = plan_install(connection, self.settings, link, tables)
            others = before_install(connection, self.settings, link, tables, plan)
        return replace(plan, findings=(*plan.findings, *others))

    def install(self, link: str, tables: Sequence[str]) -> None:
        """Make what capture of `tables` still needs."""
        with self._connected("install") as connection:
            install(connection, self.settings, link, tables)

    def uninstall(self, link: str) -> None:
        """Remove what `install` made for `link`."""
        with self._connected("install") as connection:
            uninstall(connection, self.settings, link)

    def removal_script(self, link: str) -> str:
        """What undoes `install` where our account cannot come any more."""
        return removal_script(self.settings, link)

    def check(self, link: str, tables: Sequence[str]) -> list[HealthFinding]:
        """Findings for each missing prerequisite; empty means ready."""
        with self._connected("check") as connection:
            return check(connection, self.settings, link, tables)

    def fill_company(
        self, request: ReadRequest, rule: CompanyRule, code: str, limit: int
    ) -> int:
        """Give records without a company this one, in one statement."""
        with self._connected("companies") as connection:
            return fill_company(connection, self.settings, request, rule, code, limit)

    def links(self) -> frozenset[str]:
        """The links with a slot, a publication or rows of ours in the database."""
        with self._connected("check") as connection:
            return links(connection, self.settings)

    def position_key(self, position: str) -> int:
        """The byte of the log a position stands for."""
        return parse_position(position)

    def confirmed(self, link: str, position: str) -> bool:
        """True when the stream of `link` has carried over everything up to there."""
        slot = slot_name(link, self.settings.side)
        with self._connected("confirmed") as connection:
            row = connection.execute(_CONFIRMED, (slot,)).fetchone()
        if row is None or row[0] is None:
            return False
        return parse_position(row[0]) >= parse_position(position)

    def lag_bytes(self, link: str) -> int | None:
        """Bytes of log not yet confirmed by the stream of `link`, or None."""
        slot = slot_name(link, self.settings.side)
        with self._connected("lag") as connection:
            row = connection.execute(_LAG, (slot,)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def held_log(self, link: str) -> HeldLog | None:
        """What the replication slot of `link` keeps; None without a slot."""
        slot = slot_name(link, self.settings.side)
        with self._connected("lag") as connection:
            row = connection.execute(_HELD, (slot,)).fetchone()
        if row is None:
            return None
        confirmed, unconfirmed, retained, lost = row
        return HeldLog(
            confirmed=format_position(parse_position(confirmed)) if confirmed else "",
            unconfirmed_bytes=max(0, int(unconfirmed or 0)),
            retained_bytes=max(0, int(retained or 0)),
            lost=str(lost) in ("t", "True"),
        )

    def release_log(self, link: str) -> None:
        """Drop the replication slot of `link`, whoever reads it."""
        with self._connected("install") as connection:
            drop_slot(connection, slot_name(link, self.settings.side))

    @contextmanager
    def _connected(self, purpose: str) -> Iterator[PostgresConnection]:
        place = self.settings.name
        with self._connect(purpose) as connection, translated_setup(place):
            yield connection

    def _connect(self, purpose: str) -> PostgresConnection:
        return connect(
            self.settings, autocommit=True, application_name=f"dualwrite {purpose}"
        )
