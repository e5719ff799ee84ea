"""Writes batches under our mark, with the stream's position, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

import psycopg
from psycopg import pq

from syncengine.connectors.base import (
    ApplyResult,
    ConnectionSettings,
    HeldRecord,
    LoadResult,
    Operation,
    Outcome,
    OutcomeKind,
    ReadRequest,
    Unit,
    WriteRefused,
)
from syncengine.connectors.postgres.arrays import array_literal
from syncengine.connectors.postgres.batch import Group, GroupWriter
from syncengine.connectors.postgres.connection import (
    PostgresConnection,
    connect,
    translate_error,
)
from syncengine.connectors.postgres.errors import SESSION_LOST, translated
from syncengine.connectors.postgres.held import PostgresHeldRecord, lock_record
from syncengine.connectors.postgres.names import MARK_PREFIX, OWN_SEPARATOR, row_name
from syncengine.connectors.postgres.ordering import group_operations
from syncengine.connectors.postgres.pipeline import Pipeline, Prepared
from syncengine.connectors.postgres.statements import (
    COLUMN_TYPES,
    LegStatements,
    places,
)
from syncengine.connectors.postgres.translation import CompanyCache
from syncengine.errors import EngineError, OutageError, SetupError, TransientError
from syncengine.mapping.compiled import CompiledLeg, Row

LOCK_TIMEOUT = "20s"
"""Below the server's own wal_sender_timeout, so that the stream stays answered."""

HOLD_LOCK_TIMEOUT = "3s"

_MARK = "SELECT pg_logical_emit_message(true, %s, %s)"
_OPEN = b"SELECT pg_logical_emit_message(true, $1, $2)"
_MOVE = (
    b"UPDATE dualwrite.position SET position = $1, updated_at = now() "
    b"WHERE link = $2 AND position = $3 RETURNING true"
)
_OPEN_AT_EASE = (
    b"SELECT pg_logical_emit_message(true, $1, $2), "
    b"set_config('synchronous_commit', 'off', true)"
)
_FLUSH = "UPDATE dualwrite.position SET updated_at = now() WHERE link = %s"
_REMEMBER = (
    "INSERT INTO dualwrite.position (link, position, updated_at) "
    "VALUES (%s, '', now()) ON CONFLICT (link) DO NOTHING"
)
_POSITION = "SELECT position FROM dualwrite.position WHERE link = %s"


BranchParts: TypeAlias = tuple[
    PostgresConnection,
    Callable[[Sequence[Operation]], list[Group]],
    Callable[[Group], list[Outcome]],
]

_STALE = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidSqlStatementName,
)
"""What a prepared statement meets that no longer fits, or that somebody dropped."""

_CHANGED = "A table was changed while it was written; the batch runs again."


class TakenOverError(EngineError):
    """Another worker has moved this stream's position: this one must stop."""

    code = "stream_taken_over"


class PostgresWriter:
    """Promises of `syncengine.connectors.base.Writer` on one connection, opened when
    first needed and again after an outage. Used by one thread."""

    def __init__(
        self, settings: ConnectionSettings, link: str, *, durable: bool = False
    ) -> None:
        self._settings = settings
        self._link = link
        self._durable = durable
        self._row = row_name(link, settings.side)
        self._connection: PostgresConnection | None = None
        self._prepared: Prepared | None = None
        self._position: str | None = None
        self._statements: dict[int, LegStatements] = {}
        self._legs: dict[int, CompiledLeg] = {}
        self._companies = CompanyCache()

    # -- connection -----------------------------------------------------------------

    def _open(self) -> PostgresConnection:
        connection = self._connection
        if connection is None or connection.closed:
            connection = connect(
                self._settings, autocommit=True, application_name="dualwrite writer"
            )
            connection.execute(
                "SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT]
            )
            # psycopg, once it has prepared anything itself, follows a rollback with
            # DEALLOCATE ALL, which would take the pipeline's statements away.
            connection.prepare_threshold = None
            self._connection = connection
            self._prepared = Prepared(connection)
            self._position = None
            self._companies.forget()
        return connection

    def _pipeline(self) -> Pipeline:
        connection = self._open()
        if self._prepared is None or self._prepared.connection is not connection:
            self._prepared = Prepared(connection)
        return Pipeline(self._prepared)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(
        self,
        *,
        durable: bool,
        origin: str | None = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> Iterator[Pipeline]:
        """A transaction opened by our mark; errors leave nothing written. Unless
        `durable`, its commit does not wait for the disk. `origin` is the position
        behind which the changes lie that it carries. `meanwhile` is called when all is
        on its way and the answers are not here."""
        begin = _OPEN if durable else _OPEN_AT_EASE
        mark = self._link + OWN_SEPARATOR.decode() + (origin or "")
        try:
            with self._pipeline() as pipeline:
                pipeline.send(b"BEGIN")
                pipeline.send(begin, [MARK_PREFIX, mark])
                yield pipeline
                pipeline.send(b"COMMIT")
                if meanwhile is not None:
                    pipeline.finish()
                    meanwhile()
        except psycopg.Error as error:
            self._abandon()
            if isinstance(error, _STALE):
                self.close()
                raise TransientError(_CHANGED, remote=str(error)) from error
            meaning = translate_error(error, self._settings.name)
            if isinstance(meaning, Outcome):
                self._companies.forget()
                raise WriteRefused(meaning) from error
            if meaning.code == SESSION_LOST:
                self.close()
            raise meaning from error
        except _Undo:
            self._abandon()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """End whatever transaction is open; drop a connection that is of no use."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()
        if connection.broken:
            self.close()

    # -- position -------------------------------------------------------------------

    def position(self) -> str | None:
        """The position stored with the last applied batch of this stream."""
        try:
            connection = self._open()
            found = connection.execute(_POSITION, [self._row]).fetchone()
            if found is None:
                connection.execute(_REMEMBER, [self._row])
        except psycopg.errors.UndefinedTable as error:
            raise SetupError(
                f"Change capture is not installed on {self._settings.name}: table "
                "dualwrite.position is missing. Run the map again to install it.",
                code="capture_missing",
            ) from error
        except psycopg.Error as error:
            raise self._engine_error(error) from error
        self._position = found[0] if found else ""
        return self._position or None

    def _engine_error(self, error: psycopg.Error) -> EngineError:
        meaning = translate_error(error, self._settings.name)
        if isinstance(meaning, Outcome):
            return OutageError(meaning.message, code=meaning.code)
        return meaning

    # -- apply ----------------------------------------------------------------------

    def apply(
        self,
        operations: Sequence[Operation],
        *,
        position: str | None = None,
        strict: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> ApplyResult:
        """Write all operations and the position in one transaction, or nothing."""
        groups = self._prepare(operations, strict=strict)
        if position is not None and (
            self._connection is None or self._connection.closed
        ):
            self.position()
        outcomes: list[Outcome] = []
        committed = False
        durable = self._durable or position is None
        origin = None if position is None else self._position
        with self._transaction(
            durable=durable, origin=origin, meanwhile=meanwhile
        ) as pipeline:
            moved = None
            if position is not None:
                values = [position, self._row, self._position or ""]
                moved = pipeline.send(_MOVE, values)
            writer = GroupWriter(pipeline, self._statements, self._companies)
            for group in groups:
                outcomes.extend(writer.apply(group))
            if moved is not None and not moved.fetchall():
                raise TakenOverError(
                    "Another worker runs this stream now; this one stops."
                )
            if any(o.conflicts or o.kind is OutcomeKind.FAILED for o in outcomes):
                raise _Undo
            committed = True
        if committed and position is not None:
            self._position = position
        return ApplyResult(committed, outcomes)

    @contextmanager
    def unit(self, position: str, legs: Collection[CompiledLeg]) -> Iterator[Unit]:
        """One transaction for several portions; the position moves at its end."""
        for leg in legs:
            self._know(leg)
        if self._connection is None or self._connection.closed:
            self.position()
        with self._transaction(durable=False, origin=self._position) as pipeline:
            yield _Unit(self._loosely, pipeline, self._statements, self._companies)
            values = [position, self._row, self._position or ""]
            if not pipeline.send(_MOVE, values).fetchall():
                raise TakenOverError(
                    "Another worker runs this stream now; this one stops."
                )
        self._position = position

    def flush(self) -> None:
        """Make everything applied so far durable: this commit waits for the disk, and
        the log before it goes with it."""
        if self._durable:
            return
        try:
            self._open().execute(_FLUSH, [self._row])
        except psycopg.Error as error:
            self._abandon()
            raise self._engine_error(error) from error

    def _loosely(self, operations: Sequence[Operation]) -> list[Group]:
        return self._prepare(operations, strict=False)

    def _prepare(
        self, operations: Sequence[Operation], *, strict: bool = True
    ) -> list[Group]:
        """Group the operations and have the statements of their legs ready."""
        for operation in operations:
            self._know(operation.leg)
        return group_operations(operations, strict=strict)

    def _know(self, leg: CompiledLeg) -> None:
        if id(leg) not in self._legs:
            self._statements[id(leg)] = self._compose(leg)
            self._legs[id(leg)] = leg

    def _compose(self, leg: CompiledLeg) -> LegStatements:
        wanted = {
            place for slot in leg.slots if slot.lookup for place in places(slot.lookup)
        }
        casts: dict[tuple[str, str], str] = {}
        if wanted:
            tables, columns = zip(*sorted(wanted), strict=True)
            try:
                found = self._open().execute(
                    COLUMN_TYPES,
                    [
                        array_literal(tables),
                        array_literal(columns),
                        self._settings.schema,
                    ],
                )
                casts = {(row[0], row[1]): row[2] for row in found.fetchall()}
            except psycopg.Error as error:
                self._abandon()
                raise self._engine_error(error) from error
        for table, column in wanted:
            casts.setdefault((table, column), "text")
        return LegStatements(leg, self._settings.schema, casts)

    def probe(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Try each operation by itself and undo everything: what becomes of each."""
        found: list[Outcome] = []
        groups = self._prepare(operations, strict=True)
        try:
            connection = self._open()
            connection.execute("BEGIN")
            connection.execute(_MARK, [MARK_PREFIX, self._link])
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for group in groups:
                found.extend(self._try(connection, group))
        except psycopg.Error as error:
            raise self._engine_error(error) from error
        finally:
            self._abandon()
        return found

    def _apply_group(self, group: Group) -> list[Outcome]:
        with self._pipeline() as pipeline:
            return GroupWriter(pipeline, self._statements, self._companies).apply(group)

    def _try(self, connection: PostgresConnection, group: Group) -> list[Outcome]:
        connection.execute("SAVEPOINT attempt")
        try:
            outcomes = self._apply_group(group)
        except psycopg.Error as error:
            meaning = translate_error(error, self._settings.name)
            if not isinstance(meaning, Outcome):
                raise
            connection.execute("ROLLBACK TO SAVEPOINT attempt")
            connection.execute("RELEASE SAVEPOINT attempt")
            operations = group.operations
            if len(operations) > 1:
                middle = len(operations) // 2
                halves = (operations[:middle], operations[middle:])
                parts = [Group(group.leg, group.kind, half) for half in halves]
                return [one for part in parts for one in self._try(connection, part)]
            meaning.reference = group.operations[0].reference
            return [meaning]
        connection.execute("RELEASE SAVEPOINT attempt")
        return outcomes

    # -- settling and loading -------------------------------------------------------

    @contextmanager
    def hold(self, request: ReadRequest, key: Row) -> Iterator[HeldRecord]:
        """Lock one record and keep the transaction open until the block ends."""
        try:
            connection = self._open()
            connection.execute("BEGIN")
            connection.execute(
                "SELECT set_config('lock_timeout', %s, true)", [HOLD_LOCK_TIMEOUT]
            )
            # Given to the opposite stream, as a write that may cross with a change.
            mark = self._link + OWN_SEPARATOR.decode()
            connection.execute(_MARK, [MARK_PREFIX, mark])
            row, committed_at = lock_record(connection, self._settings, request, key)
            yield PostgresHeldRecord(
                row, committed_at, self._prepare, self._apply_group
            )
            connection.execute("COMMIT")
        except psycopg.Error as error:
            meaning = translate_error(error, self._settings.name)
            if isinstance(meaning, Outcome):
                raise WriteRefused(meaning) from error
            raise meaning from error
        finally:
            self._abandon()

    @property
    def connection(self) -> PostgresConnection:
        """The open connection, in autocommit."""
        return self._open()

    @contextmanager
    def branch(self, seconds: float) -> Iterator[BranchParts]:
        """A transaction under our mark that the block may prepare, and what writes
        mapped records in it; undone otherwise."""
        with translated(self._settings.name):
            try:
                connection = self._open()
                connection.execute("BEGIN")
                connection.execute(
                    "SELECT set_config('lock_timeout', %s, true), "
                    "set_config('statement_timeout', %s, true)",
                    [HOLD_LOCK_TIMEOUT, f"{round(seconds * 1000)}ms"],
                )
                connection.execute(_MARK, [MARK_PREFIX, self._link])
                yield connection, self._loosely, self._apply_group
            finally:
                self._abandon()

    def load(
        self,
        leg: CompiledLeg,
        rows: Sequence[Row],
        *,
        insert_only: bool = False,
        defer: frozenset[int] = frozenset(),
    ) -> LoadResult:
        """Bulk upsert of mapped rows; see the contract."""
        from syncengine.connectors.postgres.load import bulk_load

        try:
            connection = self._open()
            self._know(leg)
            return bulk_load(
                connection,
                self._statements[id(leg)],
                leg,
                rows,
                insert_only=insert_only,
                defer=defer,
                link=self._link,
            )
        except psycopg.Error as error:
            meaning = translate_error(error, self._settings.name)
            if isinstance(meaning, Outcome):
                raise WriteRefused(meaning) from error
            raise meaning from error
        finally:
            self._abandon()


class _Unit:
    """Promises of `syncengine.connectors.base.Unit` in an open transaction."""

    def __init__(
        self,
        prepare: Callable[[Sequence[Operation]], list[Group]],
        pipeline: Pipeline,
        statements: dict[int, LegStatements],
        companies: CompanyCache,
    ) -> None:
        self._prepare = prepare
        self._pipeline = pipeline
        self._writer = GroupWriter(pipeline, statements, companies)

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write one more portion, parents first, deletes last."""
        outcomes: list[Outcome] = []
        for group in self._prepare(operations):
            outcomes += self._writer.apply(group)
        self._pipeline.push()
        return outcomes


class _Undo(Exception):
    """Rolls the transaction back: some records cannot be written, or not yet."""
