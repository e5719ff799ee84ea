"""Statements sent without waiting for each other's answers, on libpq itself.

A single-row transaction takes seven statements in two round trips. Sent through
cursors they cost three times as much processor time as the rest of the work on it
(measured), so the live writer speaks to libpq: prepared statements, values as text.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any

from psycopg import errors, pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGresult

from syncengine.connectors.postgres.connection import PostgresConnection

_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


class Prepared:
    """Names of the statements prepared on one connection, by their text."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.connection = connection
        self.names: dict[bytes, bytes] = {}
        self.numbers = count(1)


class Sent:
    """A statement on its way; rows as text tuples when asked for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.result: PGresult | None = None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows; waits for them. Raises psycopg.Error of this or an earlier
        statement."""
        self._pipeline.await_result(self)
        return self._pipeline.rows(self.result)


class Pipeline:
    """A block of statements on a connection in autocommit mode.

    Leaving the block waits for all answers; psycopg.Error is raised for the first
    statement that failed. After an error the connection's transaction is still open.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._connection = prepared.connection
        self._libpq = prepared.connection.pgconn
        self._waiting: deque[Sent] = deque()
        self._new: list[bytes] = []
        self._ended = False
        self._transformer = Transformer(prepared.connection)

    def __enter__(self) -> Pipeline:
        self._libpq.enter_pipeline_mode()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._sync()
                while self._waiting:
                    self._take()
                self._result()
                self._libpq.exit_pipeline_mode()
            else:
                self._forget()
        except errors.Error:
            self._forget()
            raise

    def send(self, query: bytes, parameters: Sequence[str] = ()) -> Sent:
        """Send a statement with `$1` placeholders; it is prepared once."""
        name = self._prepared.names.get(query)
        if name is None:
            name = b"dualwrite_%d" % next(self._prepared.numbers)
            self._libpq.send_prepare(name, query)
            self._waiting.append(Sent(self))
            self._prepared.names[query] = name
            self._new.append(query)
        self._libpq.send_query_prepared(name, [text.encode() for text in parameters])
        sent = Sent(self)
        self._waiting.append(sent)
        return sent

    def await_result(self, sent: Sent) -> None:
        """Wait until the answer to `sent` is here."""
        if sent.result is None:
            self._libpq.send_flush_request()
            while sent.result is None:
                self._take()

    def finish(self) -> None:
        """Have everything on its way to the server; nothing may be sent after it."""
        self._sync()
        self._flush()

    def push(self) -> None:
        """Let the server begin with what was sent, though nobody waits for it yet."""
        self._libpq.send_flush_request()
        self._flush()

    def rows(self, result: PGresult | None) -> list[tuple[Any, ...]]:
        """The rows of a result as tuples of text."""
        if result is None or not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        rows: list[tuple[Any, ...]] = self._transformer.load_rows(
            0, result.ntuples, tuple
        )
        return rows

    def _take(self) -> None:
        """Take the answer to the oldest statement."""
        result = self._result()
        if result is None:
            raise errors.OperationalError("the connection gave no answer")
        sent = self._waiting.popleft()
        if result.status in _FAILED:
            raise errors.error_from_result(result)
        sent.result = result
        self._result()

    def _result(self) -> PGresult | None:
        libpq = self._libpq
        if libpq.is_busy():
            self._flush()
            while libpq.is_busy():
                select.select([libpq.socket], [], [])
                libpq.consume_input()
        return libpq.get_result()

    def _flush(self) -> None:
        libpq = self._libpq
        while libpq.flush():
            select.select([], [libpq.socket], [], 1.0)
            libpq.consume_input()

    def _sync(self) -> None:
        if not self._ended:
            self._libpq.pipeline_sync()
            self._ended = True

    def _forget(self) -> None:
        """After an error: read on until the server is in step again."""
        for query in self._new:
            self._prepared.names.pop(query, None)
        if self._libpq.status != pq.ConnStatus.OK:
            return
        try:
            self._sync()
            silent = 0
            while silent < 2:
                result = self._result()
                silent = silent + 1 if result is None else 0
                if result and result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._libpq.exit_pipeline_mode()
                    return
        except errors.Error:
            return  # the connection is lost; the caller drops it
